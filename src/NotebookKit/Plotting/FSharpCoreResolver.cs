using System.Reflection;
using System.Runtime.CompilerServices;

namespace NotebookKit.Plotting;

/// <summary>
/// Plotly.NET asks for a newer FSharp.Core than .NET Interactive holds, and charts fail when two are loaded. No copy stands beside the kit, and the question
/// is answered with the one that is loaded already.
/// </summary>
internal static class FSharpCoreResolver
{
    [ModuleInitializer]
    internal static void Install() => AppDomain.CurrentDomain.AssemblyResolve += static (_, request) =>
        new AssemblyName(request.Name).Name == "FSharp.Core"
            ? AppDomain.CurrentDomain.GetAssemblies().FirstOrDefault(a => a.GetName().Name == "FSharp.Core")
            : null;
}
