namespace NotebookKit.Tool.Commands;

/// <summary>What the process answers its caller.</summary>
internal static class ExitCodes
{
    /// <summary>All that was asked was done.</summary>
    public const int Success = 0;

    /// <summary>A cell failed, or input could not be used; the message is on the terminal.</summary>
    public const int Failure = 1;

    /// <summary>The run was cancelled.</summary>
    public const int Cancelled = 130;
}
