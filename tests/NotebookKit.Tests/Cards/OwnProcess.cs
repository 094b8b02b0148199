using System.Diagnostics;
using System.Globalization;

namespace NotebookKit.Tests.Cards;

/// <summary>Runs a test again in a process of its own, where no other test has left threads, buffers and switches behind, with an allocator that gives back what is freed, so that
/// resident memory is what tensors hold.</summary>
internal static class OwnProcess
{
    private const string Mark = "NOTEBOOKKIT_TEST_ALONE";

    public static bool IsHere => Environment.GetEnvironmentVariable(Mark) is not null;

    /// <summary>A field of /proc/self/status in bytes, such as VmRSS.</summary>
    public static double Memory(string field) =>
        double.Parse(File.ReadLines("/proc/self/status").First(l => l.StartsWith(field + ":", StringComparison.Ordinal)).Split(' ', StringSplitOptions.RemoveEmptyEntries)[^2], CultureInfo.InvariantCulture) * 1024;

    /// <summary>Resident memory once garbage is collected, in bytes.</summary>
    public static double Resident()
    {
        GC.Collect();
        GC.WaitForPendingFinalizers();
        return Memory("VmRSS");
    }

    /// <summary>The middle of several measurements.</summary>
    public static double Middle(IEnumerable<double> values) => values.Order().ElementAt(values.Count() / 2);

    /// <summary>Fails with the other process' output where the test fails there.</summary>
    public static async Task RunAsync(string method)
    {
        var start = new ProcessStartInfo(Environment.ProcessPath!) { RedirectStandardOutput = true, RedirectStandardError = true };
        if (Path.GetFileNameWithoutExtension(Environment.ProcessPath) == "dotnet") start.ArgumentList.Add(typeof(OwnProcess).Assembly.Location);
        foreach (var argument in new[] { "--filter-method", $"*{method}" }) start.ArgumentList.Add(argument);
        foreach (var (key, value) in new[] { (Mark, "1"), ("MALLOC_ARENA_MAX", "1"), ("MALLOC_MMAP_THRESHOLD_", "131072"), ("MALLOC_TRIM_THRESHOLD_", "131072") }) start.Environment[key] = value;
        using var process = Process.Start(start)!;
        var (output, errors) = (process.StandardOutput.ReadToEndAsync(TestContext.Current.CancellationToken), process.StandardError.ReadToEndAsync(TestContext.Current.CancellationToken));
        await process.WaitForExitAsync(TestContext.Current.CancellationToken);
        Assert.True(process.ExitCode == 0, await output + await errors);
    }
}
