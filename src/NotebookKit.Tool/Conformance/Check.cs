namespace NotebookKit.Tool.Conformance;

/// <summary>Runs one case and puts what happened into an outcome: an exception is a failure with its message, never the end of the run.</summary>
internal static class Check
{
    public static Outcome Run(string name, Func<IEnumerable<Deviation>> body)
    {
        try
        {
            var all = body().ToArray();
            if (all.Length == 0) return new Outcome(name, Verdict.Failed, "nothing was compared");
            var worst = all.MaxBy(d => d.Worst / d.Allowed);
            return new Outcome(name, worst.Good ? Verdict.Passed : Verdict.Failed, $"worst deviation {worst}" + (all.Length > 1 ? $" ({all.Length} compared)" : ""));
        }
        catch (Exception e) when (e is not OutOfMemoryException)
        {
            return Failed(name, e);
        }
    }

    /// <summary>The same for cases of equal ids: the body answers with what differs, or <c>null</c>.</summary>
    public static Outcome Run(string name, Func<string?> body, string good)
    {
        try
        {
            return body() is { } difference ? new Outcome(name, Verdict.Failed, difference) : new Outcome(name, Verdict.Passed, good);
        }
        catch (Exception e) when (e is not OutOfMemoryException)
        {
            return Failed(name, e);
        }
    }

    public static Outcome Failed(string name, Exception e) => new(name, Verdict.Failed, $"{e.GetType().Name}: {e.Message.Split('\n')[0]}");
}
