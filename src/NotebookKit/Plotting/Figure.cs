using System.Net;
using System.Security.Cryptography;
using System.Text;
using NotebookKit.Display;

namespace NotebookKit.Plotting;

/// <summary>
/// A chart: Plotly's description of it and a static picture. The picture is shown where scripts are off (GitHub, a printed page); where plotly.js is
/// at hand the interactive chart takes its place.
/// </summary>
/// <param name="Title">What the chart says.</param>
/// <param name="Json">Plotly's <c>{data, layout}</c>.</param>
/// <param name="Svg">The static picture.</param>
/// <param name="Height">Height in pixels.</param>
[TypeFormatterSource(typeof(ShownFormatterSource))]
public sealed record Figure(string Title, string Json, string Svg, int Height) : IShown
{
    /// <inheritdoc/>
    public string ToHtml()
    {
        var id = "nbkit-" + Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(Json)))[..10];
        return $$"""
            <div id="{{id}}" class="nbkit-plot" role="img" aria-label="{{WebUtility.HtmlEncode(Title)}}">{{Svg}}</div>
            <script type="application/json" class="nbkit-figure" id="{{id}}-figure">{{Json.Replace("</", "<\\/", StringComparison.Ordinal)}}</script>
            <script>(function draw(left){var p=document.getElementById("{{id}}"),f=document.getElementById("{{id}}-figure");if(!p||!f||p.dataset.drawn)return;
            if(window.Plotly){p.dataset.drawn=1;p.innerHTML="";p.style.height="{{Height}}px";var g=JSON.parse(f.textContent);Plotly.newPlot(p,g.data,g.layout,{responsive:true,displaylogo:false});}
            else if(left>0)setTimeout(function(){draw(left-1);},200);})(25);</script>
            """;
    }

    /// <inheritdoc/>
    public string ToText() => $"[chart] {Title}";
}
