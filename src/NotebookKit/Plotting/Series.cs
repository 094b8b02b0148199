namespace NotebookKit.Plotting;

/// <summary>A point with an optional interval.</summary>
/// <param name="X">Place on the horizontal axis.</param>
/// <param name="Y">Value.</param>
/// <param name="Lower">Lower end of its interval, or <c>null</c>.</param>
/// <param name="Upper">Upper end of its interval, or <c>null</c>.</param>
public sealed record PlotPoint(double X, double Y, double? Lower = null, double? Upper = null);

/// <summary>A named line.</summary>
/// <param name="Name">Shown in the legend.</param>
/// <param name="Points">From left to right.</param>
/// <param name="Share">Whether it is a share from 0 to 1 drawn against a scale of its own on the right, for a chart whose other lines have another unit.</param>
public sealed record Series(string Name, IReadOnlyList<PlotPoint> Points, bool Share = false);

/// <summary>A named bar.</summary>
/// <param name="Name">Shown beside the bar.</param>
/// <param name="Value">Its length.</param>
/// <param name="Lower">Lower end of its interval, or <c>null</c>.</param>
/// <param name="Upper">Upper end of its interval, or <c>null</c>.</param>
public sealed record Bar(string Name, double Value, double? Lower = null, double? Upper = null);
