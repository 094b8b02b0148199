using System.Buffers.Binary;
using System.Text;
using NotebookKit.Checkpoints;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace NotebookKit.Tests.Checkpoints;

/// <summary>Expected values: what was written, and the format's own rules.</summary>
public sealed class SafetensorsTests
{
    [Fact]
    public void Every_type_comes_back_bit_for_bit()
    {
        using var scope = NewDisposeScope();
        using var folder = TestData.NewFolder();
        var tensors = new Dictionary<string, Tensor>
        {
            ["f32"] = randn(3, 5), ["f64"] = randn([2], dtype: ScalarType.Float64), ["f16"] = randn(7).to(ScalarType.Float16), ["bf16"] = randn(2, 3, 4).to(ScalarType.BFloat16),
            ["i64"] = arange(9), ["i32"] = arange(4, dtype: ScalarType.Int32), ["u8"] = ones([3], dtype: ScalarType.Byte), ["bool"] = ones([2], dtype: ScalarType.Bool), ["scalar"] = tensor(4.5f), ["empty"] = zeros(0, 3),
            ["strided"] = randn(4, 6).t(),
        };
        SafetensorsWriter.Write(folder["x.safetensors"], tensors);
        using var file = SafetensorsFile.Open(folder["x.safetensors"]);
        Assert.Equal(tensors.Keys.Order(), file.Tensors.Keys.Order());
        Assert.Equal("pt", file.Metadata["format"]);
        foreach (var (name, tensor) in tensors)
        {
            var read = file.Read(name);
            Assert.Equal(tensor.dtype, read.dtype);
            Assert.Equal(tensor.shape, read.shape);
            Assert.True(tensor.equal(read).to(ScalarType.Float32).sum().ToDouble() == tensor.numel(), name);
        }
    }

    [Fact]
    public void A_file_of_the_reference_is_read_and_written_back_the_same()
    {
        using var scope = NewDisposeScope();
        using var folder = TestData.NewFolder();
        using var source = SafetensorsFile.Open(TestData.Fixture("checkpoints", "tiny", "bert-seqcls", "model.safetensors"));
        SafetensorsWriter.Write(folder["copy.safetensors"], source.Tensors.Keys.Select(n => KeyValuePair.Create(n, source.Read(n))));
        using var copy = SafetensorsFile.Open(folder["copy.safetensors"]);
        foreach (var name in source.Tensors.Keys) Assert.Equal(source.Read(name).flatten().data<float>().ToArray(), copy.Read(name).flatten().data<float>().ToArray());
    }

    [Theory]
    [InlineData("""{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}""", 4, "cut short")]
    [InlineData("""{"a":{"dtype":"F32","shape":[3],"data_offsets":[0,8]}}""", 8, "needs 12 bytes")]
    [InlineData("""{"a":{"dtype":"F33","shape":[2],"data_offsets":[0,8]}}""", 8, "dtype 'F33'")]
    [InlineData("""{"a":{"dtype":"F32","shape":[-2],"data_offsets":[0,8]}}""", 8, "negative")]
    [InlineData("""{"a":{"dtype":"F32","shape":[9223372036854775807,4],"data_offsets":[0,8]}}""", 8, "malformed")]
    [InlineData("""{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}}""", 12, "overlap")]
    [InlineData("""{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"a":{"dtype":"F32","shape":[2],"data_offsets":[8,16]}}""", 16, "twice")]
    [InlineData("""{"a":{"shape":[2],"data_offsets":[0,8]}}""", 8, "malformed")]
    [InlineData("""[1,2]""", 0, "not a JSON object")]
    [InlineData("""{"a":""", 0, "not JSON")]
    [InlineData("""{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}""", 12, "its data at 12")]
    public void Hostile_headers_are_refused_naming_the_file(string header, int dataBytes, string says)
    {
        using var folder = TestData.NewFolder();
        var text = Encoding.UTF8.GetBytes(header);
        var bytes = new byte[8 + text.Length + dataBytes];
        BinaryPrimitives.WriteInt64LittleEndian(bytes, text.Length);
        text.CopyTo(bytes, 8);
        File.WriteAllBytes(folder["bad.safetensors"], bytes);
        var error = Assert.Throws<InvalidDataException>(() => SafetensorsFile.Open(folder["bad.safetensors"]));
        Assert.Contains("bad.safetensors", error.Message);
        Assert.Contains(says, error.Message);
    }

    [Fact]
    public void A_header_longer_than_the_file_is_refused_before_anything_is_read()
    {
        using var folder = TestData.NewFolder();
        var bytes = new byte[64];
        BinaryPrimitives.WriteUInt64LittleEndian(bytes, ulong.MaxValue);
        File.WriteAllBytes(folder["huge.safetensors"], bytes);
        Assert.Contains("header claims", Assert.Throws<InvalidDataException>(() => SafetensorsFile.Open(folder["huge.safetensors"])).Message);
        File.WriteAllBytes(folder["tiny.safetensors"], [1, 2]);
        Assert.Contains("2 bytes", Assert.Throws<InvalidDataException>(() => SafetensorsFile.Open(folder["tiny.safetensors"])).Message);
        Assert.Throws<FileNotFoundException>(() => SafetensorsFile.Open(folder["none.safetensors"]));
    }

    [Fact]
    public void A_file_cut_at_any_place_is_refused()
    {
        using var folder = TestData.NewFolder();
        var whole = File.ReadAllBytes(TestData.Fixture("checkpoints", "tiny", "bert-seqcls", "model.safetensors"));
        foreach (var length in new[] { 0, 7, 100, 3000, whole.Length / 2, whole.Length - 1 })
        {
            File.WriteAllBytes(folder["cut.safetensors"], whole[..length]);
            Assert.Throws<InvalidDataException>(() => SafetensorsFile.Open(folder["cut.safetensors"]));
        }
    }

    [Fact]
    public void A_wrong_shape_or_a_hole_is_refused_naming_the_key_and_nothing_changes()
    {
        using var scope = NewDisposeScope();
        using var folder = TestData.NewFolder();
        SafetensorsWriter.Write(folder["x.safetensors"], [KeyValuePair.Create("bert.w", ones(2, 3)), KeyValuePair.Create("bert.v", ones(2))]);
        using var file = Checkpoint.OpenFile(folder["x.safetensors"]);
        var names = new KeyNames("bert.", [], _ => false, HasHead: true);
        var (v, w) = (new Parameter(zeros(2)), new Parameter(zeros(3, 2)));
        var error = Assert.Throws<InvalidDataException>(() => ParameterLoader.Load([("bert.v", v), ("bert.w", w)], file, names));
        Assert.Contains("'bert.w' has the shape [2, 3], the model needs [3, 2]", error.Message);
        Assert.Equal(0, v.sum().ToDouble());
        Assert.Contains("'bert.missing'", Assert.Throws<InvalidDataException>(() => ParameterLoader.Load([("bert.v", v), ("bert.missing", w)], file, names)).Message);
    }

    [Fact]
    public void A_failed_write_leaves_the_old_file_and_no_temporary()
    {
        using var scope = NewDisposeScope();
        using var folder = TestData.NewFolder();
        SafetensorsWriter.Write(folder["x.safetensors"], [KeyValuePair.Create("a", ones(2))]);
        var before = File.ReadAllBytes(folder["x.safetensors"]);
        Assert.Throws<ArgumentException>(() => SafetensorsWriter.Write(folder["x.safetensors"], [KeyValuePair.Create("a", ones([2], dtype: ScalarType.ComplexFloat32))]));
        Assert.Equal(before, File.ReadAllBytes(folder["x.safetensors"]));
        Assert.Single(Directory.GetFiles(folder.Path));
    }
}
