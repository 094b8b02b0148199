using NotebookKit.Models.Layers;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace NotebookKit.Models;

/// <summary>
/// Makes the parameters of a model without filling them: a checkpoint fills them once, and only what it lacks is drawn. On the meta device
/// they have shapes and no memory, so that a model of any size can be laid out.
/// </summary>
public sealed class ModelBuilder
{
    private readonly List<(Parameter Parameter, Fresh Kind, double Deviation)> _made = [];
    private readonly Device? _device;

    /// <summary>A builder for one model.</summary>
    /// <param name="dropout">Source of dropout masks; shared by all parts of the model.</param>
    /// <param name="type">Type of the parameters. Default fp32.</param>
    /// <param name="onMeta">Whether to lay out shapes only.</param>
    public ModelBuilder(DropoutMask dropout, ScalarType type = ScalarType.Float32, bool onMeta = false)
    {
        Runtime.TorchRuntime.EnsureLoaded();
        (Dropout, Type, Layers) = (dropout, type, new LayerStack(dropout));
        _device = onMeta ? new Device(TorchSharp.DeviceType.META) : null;
    }

    /// <summary>Source of dropout masks.</summary>
    public DropoutMask Dropout { get; }

    /// <summary>Runs the model's layers.</summary>
    internal LayerStack Layers { get; }

    /// <summary>Type of the parameters.</summary>
    public ScalarType Type { get; }

    /// <summary>Whether parameters have shapes only.</summary>
    public bool OnMeta => _device is not null;

    /// <summary>Standard deviation that fresh matrices are drawn with; an architecture sets its own. Default 0.02.</summary>
    public double Deviation { get; set; } = 0.02;

    /// <summary>A parameter of the given shape, not filled yet.</summary>
    internal Parameter Parameter(Fresh fresh, params long[] shape)
    {
        var parameter = new Parameter(empty(shape, dtype: Type, device: _device));
        _made.Add((parameter, fresh, Deviation));
        return parameter;
    }

    /// <summary>A tensor that is saved with the model and not trained; zero at first.</summary>
    internal Tensor Buffer(params long[] shape) => zeros(shape, dtype: Type, device: _device);

    /// <summary>Draws parameters in the order in which they were made: all, or those asked for.</summary>
    public void Initialise(Func<Parameter, bool>? which = null)
    {
        if (OnMeta) return;
        using var noGradient = no_grad();
        foreach (var (parameter, kind, deviation) in _made)
        {
            if (which is not null && !which(parameter)) continue;
            switch (kind)
            {
                case Fresh.Normal: nn.init.normal_(parameter, 0, deviation); break;
                case Fresh.Ones: nn.init.ones_(parameter); break;
                default: nn.init.zeros_(parameter); break;
            }
        }
    }
}

/// <summary>What a parameter starts as where no checkpoint has it.</summary>
internal enum Fresh { Normal, Zeros, Ones }
