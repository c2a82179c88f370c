using BenchmarkDotNet.Columns;
using BenchmarkDotNet.Configs;
using BenchmarkDotNet.Jobs;
using BenchmarkDotNet.Running;
using BenchmarkDotNet.Toolchains.InProcess.Emit;
using Fovea.Bench;
using Fovea.Kernels;
using Perfolizer.Horology;

// In this process: the projects that BenchmarkDotNet would generate know neither the pinned packages nor this framework.
var config = ManualConfig.Create(DefaultConfig.Instance)
    .AddJob(Job.Default.WithToolchain(InProcessEmitToolchain.Instance).WithIterationTime(TimeInterval.FromMilliseconds(100)).WithWarmupCount(4).WithIterationCount(12))
    .AddColumn(StatisticColumn.Min, new RateColumn())
    .WithArtifactsPath("artifacts/BenchmarkDotNet")
    .WithOptions(ConfigOptions.JoinSummary);
// One thread by default: what a kernel does, not how the machine shares it out. FOVEA_THREADS sets another number.
Threads.Max = int.TryParse(Environment.GetEnvironmentVariable("FOVEA_THREADS"), out int n) ? n : 1;
BenchmarkSwitcher.FromAssembly(typeof(RateColumn).Assembly).Run(args, config);
