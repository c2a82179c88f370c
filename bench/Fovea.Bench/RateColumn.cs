using System.Globalization;
using BenchmarkDotNet.Columns;
using BenchmarkDotNet.Reports;
using BenchmarkDotNet.Running;
namespace Fovea.Bench;

/// <summary>How much one call does: multiply-adds counted as two operations, or numbers where there are none.</summary>
interface IWorks { double Work { get; } }

/// <summary>Work per nanosecond: GFLOP/s, or 10⁹ numbers per second.</summary>
sealed class RateColumn : IColumn
{
    public string Id => "Rate";
    public string ColumnName => "G/s";
    public bool AlwaysShow => true;
    public ColumnCategory Category => ColumnCategory.Custom;
    public int PriorityInCategory => 0;
    public bool IsNumeric => true;
    public UnitType UnitType => UnitType.Dimensionless;
    public string Legend => "10⁹ operations (or numbers) per second, by the median";
    public bool IsAvailable(Summary summary) => true;
    public bool IsDefault(Summary summary, BenchmarkCase benchmarkCase) => false;
    public string GetValue(Summary summary, BenchmarkCase benchmarkCase) => GetValue(summary, benchmarkCase, SummaryStyle.Default);
    public string GetValue(Summary summary, BenchmarkCase benchmarkCase, SummaryStyle style)
    {
        if (summary[benchmarkCase]?.ResultStatistics is not { } time) return "–";
        if (Activator.CreateInstance(benchmarkCase.Descriptor.Type) is not IWorks suite) return "–";
        foreach (var p in benchmarkCase.Parameters.Items) benchmarkCase.Descriptor.Type.GetProperty(p.Name)!.SetValue(suite, p.Value);
        return (suite.Work / time.Median).ToString("0.00", CultureInfo.InvariantCulture);
    }
}
