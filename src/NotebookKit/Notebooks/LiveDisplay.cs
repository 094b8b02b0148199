using System.Reflection;

namespace NotebookKit.Notebooks;

/// <summary>Shows live output wherever the code runs: in <c>nbkit</c>, in .NET Interactive (found by reflection, so that the library depends on no kernel), or nowhere.</summary>
public static class LiveDisplay
{
    /// <summary>Whether a .NET Interactive kernel runs this code.</summary>
    public static bool InInteractiveKernel => KernelContext() is not null;

    /// <summary>Shows a value and returns the handle that replaces it; in a plain program nothing is shown.</summary>
    public static IDisplayHandle Show(object value) => NotebookHost.Display?.Display(value) ?? (IDisplayHandle?)InteractiveHandle.TryShow(value) ?? new NoDisplay();

    private static object? KernelContext() => AppDomain.CurrentDomain.GetAssemblies().FirstOrDefault(a => a.GetName().Name == "Microsoft.DotNet.Interactive")
        ?.GetType("Microsoft.DotNet.Interactive.KernelInvocationContext")?.GetProperty("Current", BindingFlags.Public | BindingFlags.Static)?.GetValue(null);

    private sealed class NoDisplay : IDisplayHandle
    {
        public void Update(object value) { }
    }

    private sealed class InteractiveHandle(object displayed, MethodInfo update) : IDisplayHandle
    {
        public static InteractiveHandle? TryShow(object value)
        {
            if (KernelContext() is not { } context) return null;
            var display = context.GetType().Assembly.GetType("Microsoft.DotNet.Interactive.KernelInvocationContextExtensions")?.GetMethods()
                .FirstOrDefault(m => m.Name == "Display" && m.GetParameters() is { Length: 3 } p && p[1].ParameterType == typeof(object) && p[2].ParameterType == typeof(string[]));
            if (display?.Invoke(null, [context, value, Array.Empty<string>()]) is not { } displayed) return null;
            return displayed.GetType().GetMethod("Update", [typeof(object)]) is { } update ? new InteractiveHandle(displayed, update) : null;
        }

        public void Update(object value) => update.Invoke(displayed, [value]);
    }
}
