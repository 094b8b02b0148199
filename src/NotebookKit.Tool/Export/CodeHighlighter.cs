using System.Net;
using System.Text;
using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.CSharp;

namespace NotebookKit.Tool.Export;

/// <summary>Colours C# as HTML by its tokens.</summary>
internal static class CodeHighlighter
{
    private static readonly CSharpParseOptions Script = new(LanguageVersion.CSharp14, kind: SourceCodeKind.Script);

    /// <summary>The code with spans: <c>k</c> keyword, <c>s</c> string, <c>n</c> number, <c>c</c> comment, <c>t</c> type-like name, <c>d</c> directive.</summary>
    public static string ToHtml(string code)
    {
        var html = new StringBuilder();
        foreach (var token in CSharpSyntaxTree.ParseText(code, Script).GetRoot().DescendantTokens(descendIntoTrivia: false))
        {
            foreach (var trivia in token.LeadingTrivia) Append(html, ClassOf(trivia), trivia.ToFullString());
            Append(html, ClassOf(token), token.Text);
            foreach (var trivia in token.TrailingTrivia) Append(html, ClassOf(trivia), trivia.ToFullString());
        }
        return html.ToString();
    }

    private static void Append(StringBuilder html, string? kind, string text)
    {
        if (text.Length == 0) return;
        var escaped = WebUtility.HtmlEncode(text);
        html.Append(kind is null ? escaped : $"<span class=\"{kind}\">{escaped}</span>");
    }

    private static string? ClassOf(SyntaxTrivia trivia) => trivia.Kind() switch
    {
        SyntaxKind.SingleLineCommentTrivia or SyntaxKind.MultiLineCommentTrivia or SyntaxKind.SingleLineDocumentationCommentTrivia => "c",
        _ when trivia.IsDirective => "d",
        _ => null,
    };

    private static string? ClassOf(SyntaxToken token) => token.Kind() switch
    {
        SyntaxKind.StringLiteralToken or SyntaxKind.CharacterLiteralToken or SyntaxKind.InterpolatedStringTextToken or SyntaxKind.InterpolatedStringStartToken
            or SyntaxKind.InterpolatedStringEndToken or SyntaxKind.MultiLineRawStringLiteralToken or SyntaxKind.SingleLineRawStringLiteralToken => "s",
        SyntaxKind.NumericLiteralToken => "n",
        var kind when SyntaxFacts.IsKeywordKind(kind) || token.IsContextualKeyword() || token.Text == "var" => "k",
        SyntaxKind.IdentifierToken when char.IsUpper(token.Text[0]) => "t",
        _ => null,
    };
}
