CONFIGURATION ?= Release
FOVEA = dotnet run -c $(CONFIGURATION) --project src/Fovea.Cli --

.PHONY: check gradients laws clients claims bench bench-accept peers format compare
check:            ## build, then units, laws and gradients
	dotnet build -warnaserror
	dotnet test --no-build
gradients:        ## the float64 build against central differences
	dotnet test --project tests/Fovea.Gradients
laws:
	dotnet test --project tests/Fovea.Laws
clients:          ## OpenAI's own client against the server; needs node with npm
	dotnet build src/Fovea.Cli -c Release
	tests/Clients/openai/run
claims:           ## make claims ID=flashattention
	$(FOVEA) papers run $(or $(ID),--all)
bench:            ## make bench NAME=attention QUICK=1: fractions of the machine's limits, against those in bench/results.json
	mkdir -p artifacts
	$(FOVEA) bench $(NAME) $(if $(QUICK),--quick) --save artifacts/bench$(if $(NAME)$(QUICK),-part).json $(if $(wildcard bench/results.json),--against bench/results.json)
bench-accept:     ## the last whole run becomes bench/results.json
	test -f artifacts/bench.json || $(MAKE) bench || test -f artifacts/bench.json
	mv artifacts/bench.json bench/results.json
peers:            ## the same work in other systems, into bench/peers/results.md
	bench/peers/run.sh
compare:
	$(FOVEA) compare
format:
	dotnet format
