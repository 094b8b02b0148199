using System.Reflection.Metadata;
using System.Reflection.Metadata.Ecma335;
using System.Reflection.PortableExecutable;

namespace NotebookKit.Tests;

/// <summary>
/// The map of rooms: each may use those above it, never one below. Signatures, fields and method bodies are read from the compiled library, so that nothing
/// can hide in code.
/// </summary>
public sealed class ArchitectureTests
{
    /// <summary>Top to bottom.</summary>
    private static readonly string[] Rooms =
    [
        "Runtime", "Display", "Tracking", "Text", "Chat", "Hub", "Data", "Checkpoints", "Models", "Adapters", "Cards", "Statistics", "Generation", "Metrics", "Baselines", "Pipelines", "Optimizers", "Schedules", "Losses", "Training", "Pretraining", "Plotting", "ContinualLearning", "Stages", "Search", "Evaluation", "Notebooks",
    ];

    private static readonly Dictionary<string, string[]> KnowNothingBut = new()
    {
        ["Runtime"] = [], ["Display"] = [], ["Tracking"] = ["Runtime", "Display"], ["Text"] = ["Runtime", "Display"], ["Hub"] = ["Runtime", "Display"], ["Metrics"] = ["Display"], ["Statistics"] = ["Display"], ["Optimizers"] = ["Runtime"], ["Schedules"] = [], ["Losses"] = [], ["Plotting"] = ["Display", "Metrics"],
    };

    [Fact]
    public void Rooms_only_use_rooms_above_them()
    {
        var wrong = new List<string>();
        foreach (var (from, to, where) in Uses())
        {
            if (from == to) continue;
            Assert.Contains(from, Rooms);
            Assert.Contains(to, Rooms);
            var allowed = KnowNothingBut.TryGetValue(from, out var few) ? few.Contains(to) : Array.IndexOf(Rooms, to) < Array.IndexOf(Rooms, from);
            if (!allowed) wrong.Add($"{from} uses {to} in {where}");
        }
        Assert.True(wrong.Count == 0, string.Join('\n', wrong.Distinct().Take(20)));
    }

    [Fact]
    public void The_check_sees_uses_that_are_there()
    {
        var uses = Uses().Select(u => (u.From, u.To)).ToHashSet();
        Assert.Contains(("Training", "Pipelines"), uses);
        Assert.Contains(("Models", "Checkpoints"), uses);
        Assert.Contains(("Notebooks", "Plotting"), uses);
    }

    [Fact]
    public void Plotting_metrics_and_statistics_never_see_a_tensor()
    {
        var offenders = typeof(NotebookKit.Notebooks.Kit).Assembly.GetTypes().Where(t => t.Namespace is "NotebookKit.Plotting" or "NotebookKit.Metrics" or "NotebookKit.Statistics")
            .SelectMany(t => t.GetMethods().SelectMany(m => m.GetParameters().Select(p => p.ParameterType).Append(m.ReturnType))).Where(t => t.Namespace?.StartsWith("TorchSharp", StringComparison.Ordinal) == true);
        Assert.Empty(offenders);
    }

    private static IEnumerable<(string From, string To, string Where)> Uses()
    {
        using var file = new PEReader(File.OpenRead(typeof(NotebookKit.Notebooks.Kit).Assembly.Location));
        var metadata = file.GetMetadataReader();
        foreach (var handle in metadata.TypeDefinitions)
        {
            var type = metadata.GetTypeDefinition(handle);
            if (RoomOf(metadata, handle) is not { } from) continue;
            var name = metadata.GetString(type.Name);
            var found = new HashSet<string>();
            var decoder = new RoomCollector(metadata, found);
            void Type(EntityHandle used) => decoder.Add(used);
            if (!type.BaseType.IsNil) Type(type.BaseType);
            foreach (var i in type.GetInterfaceImplementations()) Type(metadata.GetInterfaceImplementation(i).Interface);
            foreach (var f in type.GetFields()) metadata.GetFieldDefinition(f).DecodeSignature(decoder, null);
            foreach (var m in type.GetMethods())
            {
                var method = metadata.GetMethodDefinition(m);
                method.DecodeSignature(decoder, null);
                if (method.RelativeVirtualAddress == 0) continue;
                var body = file.GetMethodBody(method.RelativeVirtualAddress);
                if (!body.LocalSignature.IsNil) metadata.GetStandaloneSignature(body.LocalSignature).DecodeLocalSignature(decoder, null);
                foreach (var token in Tokens(body.GetILBytes()!)) decoder.AddToken(token);
            }
            foreach (var to in found) yield return (from, to, name);
        }
    }

    /// <summary>The four-byte operands of a method body that are metadata tokens; a walk over the instructions, so that no operand is taken for an opcode.</summary>
    private static IEnumerable<int> Tokens(byte[] il)
    {
        for (var at = 0; at < il.Length;)
        {
            var code = il[at] == 0xFE ? (short)(0xFE00 | il[at + 1]) : il[at];
            at += il[at] == 0xFE ? 2 : 1;
            var operand = OpCodes[code].OperandType;
            switch (operand)
            {
                case System.Reflection.Emit.OperandType.InlineNone: break;
                case System.Reflection.Emit.OperandType.ShortInlineBrTarget or System.Reflection.Emit.OperandType.ShortInlineI or System.Reflection.Emit.OperandType.ShortInlineVar: at += 1; break;
                case System.Reflection.Emit.OperandType.InlineVar: at += 2; break;
                case System.Reflection.Emit.OperandType.InlineI8 or System.Reflection.Emit.OperandType.InlineR: at += 8; break;
                case System.Reflection.Emit.OperandType.InlineSwitch: at += 4 + 4 * BitConverter.ToInt32(il, at); break;
                case System.Reflection.Emit.OperandType.InlineField or System.Reflection.Emit.OperandType.InlineMethod or System.Reflection.Emit.OperandType.InlineType or System.Reflection.Emit.OperandType.InlineTok:
                    yield return BitConverter.ToInt32(il, at);
                    at += 4;
                    break;
                default: at += 4; break;
            }
        }
    }

    private static readonly Dictionary<short, System.Reflection.Emit.OpCode> OpCodes = typeof(System.Reflection.Emit.OpCodes).GetFields()
        .Select(f => (System.Reflection.Emit.OpCode)f.GetValue(null)!).ToDictionary(o => o.Value);

    /// <summary>The room of a type of the library, by the namespace of the outermost type; compiler-made and root types have none.</summary>
    private static string? RoomOf(MetadataReader metadata, TypeDefinitionHandle handle)
    {
        var type = metadata.GetTypeDefinition(handle);
        while (!type.GetDeclaringType().IsNil) type = metadata.GetTypeDefinition(type.GetDeclaringType());
        var parts = metadata.GetString(type.Namespace).Split('.');
        return parts is ["NotebookKit", var room, ..] ? room : null;
    }

    private sealed class RoomCollector(MetadataReader metadata, HashSet<string> found) : ISignatureTypeProvider<int, object?>
    {
        public void Add(EntityHandle handle)
        {
            switch (handle.Kind)
            {
                case HandleKind.TypeDefinition when RoomOf(metadata, (TypeDefinitionHandle)handle) is { } room: found.Add(room); break;
                case HandleKind.TypeSpecification: metadata.GetTypeSpecification((TypeSpecificationHandle)handle).DecodeSignature(this, null); break;
            }
        }

        public void AddToken(int token)
        {
            var handle = MetadataTokens.EntityHandle(token);
            switch (handle.Kind)
            {
                case HandleKind.MethodDefinition: Add(metadata.GetMethodDefinition((MethodDefinitionHandle)handle).GetDeclaringType()); break;
                case HandleKind.FieldDefinition: Add(metadata.GetFieldDefinition((FieldDefinitionHandle)handle).GetDeclaringType()); break;
                case HandleKind.MemberReference: Add(metadata.GetMemberReference((MemberReferenceHandle)handle).Parent); break;
                case HandleKind.MethodSpecification:
                    var specification = metadata.GetMethodSpecification((MethodSpecificationHandle)handle);
                    specification.DecodeSignature(this, null);
                    AddToken(MetadataTokens.GetToken(specification.Method));
                    break;
                default: Add(handle); break;
            }
        }

        public int GetTypeFromDefinition(MetadataReader reader, TypeDefinitionHandle handle, byte rawTypeKind) { Add(handle); return 0; }
        public int GetTypeFromSpecification(MetadataReader reader, object? context, TypeSpecificationHandle handle, byte rawTypeKind) { Add(handle); return 0; }
        public int GetArrayType(int elementType, ArrayShape shape) => 0;
        public int GetByReferenceType(int elementType) => 0;
        public int GetFunctionPointerType(MethodSignature<int> signature) => 0;
        public int GetGenericInstantiation(int genericType, System.Collections.Immutable.ImmutableArray<int> typeArguments) => 0;
        public int GetGenericMethodParameter(object? context, int index) => 0;
        public int GetGenericTypeParameter(object? context, int index) => 0;
        public int GetModifiedType(int modifier, int unmodifiedType, bool isRequired) => 0;
        public int GetPinnedType(int elementType) => 0;
        public int GetPointerType(int elementType) => 0;
        public int GetPrimitiveType(PrimitiveTypeCode typeCode) => 0;
        public int GetSZArrayType(int elementType) => 0;
        public int GetTypeFromReference(MetadataReader reader, TypeReferenceHandle handle, byte rawTypeKind) => 0;
    }
}
