namespace NotebookKit.Tool.Conformance;

/// <summary>What became of one case.</summary>
internal enum Verdict { Passed, Failed, Skipped }

/// <summary>One case: its name, what became of it, and the worst deviation or the reason.</summary>
internal sealed record Outcome(string Case, Verdict Verdict, string Detail);

/// <summary>A deviation beside what is allowed.</summary>
internal readonly record struct Deviation(double Worst, double Allowed, string Where = "")
{
    public bool Good => Worst <= Allowed;

    public override string ToString() => FormattableString.Invariant($"{Worst:E1} of {Allowed:E0}{(Where.Length > 0 ? " in " : "")}{Where}");
}
