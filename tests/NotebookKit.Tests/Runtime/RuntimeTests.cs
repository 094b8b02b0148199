using NotebookKit.Models;
using NotebookKit.Models.Layers;
using NotebookKit.Runtime;
using TorchSharp;

namespace NotebookKit.Tests.Runtime;

public sealed class RuntimeTests
{
    [Fact]
    public void Libtorch_is_found_and_nothing_large_stands_in_the_output()
    {
        var info = TorchRuntime.EnsureLoaded();
        Assert.True(Directory.Exists(info.TorchFolder));
        Assert.Equal(3, torch.ones(3).sum().ToDouble());
        var output = new DirectoryInfo(Path.GetDirectoryName(typeof(TorchRuntime).Assembly.Location)!).EnumerateFiles("*", SearchOption.AllDirectories).Sum(f => f.Length);
        Assert.True(output < 150_000_000, $"the output has {output / 1e6:F0} MB; libtorch alone has 530");
    }

    /// <summary>The patch sets one flag in the version-need table and changes nothing else.</summary>
    [Fact]
    public void Weakening_changes_one_flag_of_the_wanted_version()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "ELF files are Linux's");
        var library = NativeFolders.Candidates(NativeNames.ForThisPlatform()).Select(f => Path.Combine(f, "libLibTorchSharp.so")).First(File.Exists);
        var original = File.ReadAllBytes(library);
        var changed = (byte[])original.Clone();
        Assert.Equal(1, WeakenedCopy.Weaken(changed, "GLIBCXX_3.4.32"));
        Assert.Equal(1, original.Zip(changed).Count(p => p.First != p.Second));
        Assert.Equal(0, WeakenedCopy.Weaken(changed, "GLIBCXX_9.9.99"));
        Assert.Throws<DllNotFoundException>(() => WeakenedCopy.Weaken(new byte[200], "GLIBCXX_3.4.32"));
    }

    [Fact]
    public void A_device_is_chosen_with_a_reason()
    {
        Assert.Equal("CPU, as asked", ComputeDevice.Choose("cpu").Reason);
        Assert.NotEmpty(ComputeDevice.Choose().Reason);
        Assert.Contains("'gpu'", Assert.Throws<ArgumentException>(() => ComputeDevice.Choose("gpu")).Message);
    }

    /// <summary>fp32 products through oneDNN keep fp32 precision: against float64, relative error below 2e-6.</summary>
    [Fact]
    public void OneDnn_products_keep_fp32_precision()
    {
        using var scope = torch.NewDisposeScope();
        var (a, b) = (torch.randn(200, 300), torch.randn(300, 100));
        var exact = a.to(torch.ScalarType.Float64).mm(b.to(torch.ScalarType.Float64));
        MatrixProducts.UseOneDnn();
        var error = (a.mm(b).to(torch.ScalarType.Float64) - exact).abs().max().ToDouble() / exact.abs().max().ToDouble();
        Assert.True(error < 2e-6, $"relative error {error:E1}");
    }

    /// <summary>Binomial: 2,000,000 draws at p = 0.1 have a standard deviation of 0.0002; kept entries are 1/0.9.</summary>
    [Fact]
    public void Dropout_masks_have_the_right_share_scale_and_repeat()
    {
        using var scope = torch.NewDisposeScope();
        var x = torch.ones(2000, 1001);
        var dropped = new DropoutMask(7).Apply(x, 0.1);
        Assert.Equal(0.1, (dropped == 0).to(torch.ScalarType.Float32).mean().ToDouble(), 0.001);
        Assert.Equal(1 / 0.9, dropped.max().ToDouble(), 1e-6);
        Assert.Equal(dropped.data<float>().ToArray(), new DropoutMask(7).Apply(x, 0.1).data<float>().ToArray());
        Assert.NotEqual(dropped.data<float>().ToArray(), new DropoutMask(8).Apply(x, 0.1).data<float>().ToArray());
        Assert.Same(x, new DropoutMask(7).Apply(x, 0));
    }
}
