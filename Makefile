CONFIGURATION ?= Release
FOVEA = dotnet run -c $(CONFIGURATION) --project src/Fovea.Cli --

.PHONY: check gradients laws claims bench format compare
check:            ## build, then units, laws and gradients
	dotnet build -warnaserror
	dotnet test --no-build
gradients:        ## the float64 build against central differences
	dotnet test --project tests/Fovea.Gradients
laws:
	dotnet test --project tests/Fovea.Laws
claims:           ## make claims ID=flashattention
	$(FOVEA) papers run $(or $(ID),--all)
bench:            ## make bench NAME=attention
	$(FOVEA) bench $(NAME)
compare:
	$(FOVEA) compare
format:
	dotnet format
