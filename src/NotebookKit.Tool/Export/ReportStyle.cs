namespace NotebookKit.Tool.Export;

/// <summary>How the report looks: a contents column and one reading column, in light and dark and on paper.</summary>
internal static class ReportStyle
{
    public const string Css = """
        :root { --ink: #1c2430; --soft: #5b6675; --line: #dde3ea; --paper: #ffffff; --code: #f5f7fa; --accent: #2456a6; --good: #1d7a46; --bad: #b3261e; }
        * { box-sizing: border-box; }
        html { scroll-behavior: smooth; }
        body { margin: 0; color: var(--ink); background: var(--paper); font: 16px/1.6 system-ui, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; }
        nav { position: fixed; inset: 0 auto 0 0; width: 270px; overflow-y: auto; padding: 20px 18px; border-right: 1px solid var(--line); background: var(--code); font-size: 14px; line-height: 1.35; }
        nav .brand { margin: 0 0 12px; font-weight: 700; font-size: 17px; }
        nav a { display: block; padding: 3px 0 3px 14px; color: var(--soft); text-decoration: none; }
        nav a.notebook { margin-top: 12px; padding-left: 0; color: var(--ink); font-weight: 600; }
        nav a:hover { color: var(--accent); }
        main { margin-left: 270px; padding: 26px 40px 80px; max-width: 1240px; }
        header { border-bottom: 1px solid var(--line); margin-bottom: 20px; }
        h1 { font-size: 28px; line-height: 1.25; margin: 10px 0; } h1.report { font-size: 22px; } h2 { font-size: 21px; margin: 34px 0 8px; } h3 { font-size: 17px; }
        .summary, .file { color: var(--soft); font-size: 14px; }
        .good { color: var(--good); font-weight: 600; } .bad { color: var(--bad); font-weight: 600; }
        article { border-bottom: 3px solid var(--line); padding-bottom: 28px; margin-bottom: 28px; }
        .markdown { max-width: 900px; }
        a { color: var(--accent); }
        pre, code { font: 13px/1.5 ui-monospace, "Cascadia Code", Consolas, "DejaVu Sans Mono", monospace; }
        .markdown code, .summary code { background: var(--code); padding: 1px 5px; border-radius: 4px; }
        pre.source { background: var(--code); border: 1px solid var(--line); border-left: 3px solid var(--accent); border-radius: 5px; padding: 11px 14px; white-space: pre-wrap; overflow-wrap: anywhere; margin: 16px 0 0; }
        .output { margin: 8px 0 0; max-width: 100%; overflow-x: auto; }
        pre.output { padding: 8px 14px; white-space: pre-wrap; overflow-wrap: anywhere; }
        pre.stderr { color: var(--soft); } pre.error { color: var(--bad); border: 1px solid var(--bad); border-radius: 5px; }
        .k { color: #8431a3; } .s { color: #1f7a3d; } .n { color: #a1500b; } .c { color: #7a8594; font-style: italic; } .t { color: #1b5fa8; } .d { color: #8a5a00; }
        table { border-collapse: collapse; font-size: 14px; margin: 8px 0; } th, td { border-bottom: 1px solid var(--line); padding: 4px 12px; text-align: left; vertical-align: top; }
        th { border-bottom: 2px solid var(--line); } td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; }
        blockquote { margin: 10px 0; padding: 2px 16px; border-left: 3px solid var(--line); color: var(--soft); }
        svg, img { max-width: 100%; height: auto; }
        @media (max-width: 900px) { nav { position: static; width: auto; border: 0; } main { margin: 0; padding: 18px; } }
        @media (prefers-color-scheme: dark) {
          :root { --ink: #e3e8ef; --soft: #9aa6b5; --line: #343d4a; --paper: #161b22; --code: #1e252e; --accent: #7db0f5; --good: #6fd39b; --bad: #ff8a80; }
          .k { color: #cf9be6; } .s { color: #8fd6a5; } .n { color: #f0b070; } .c { color: #8893a2; } .t { color: #8fc1f7; } .d { color: #e3c07b; }
          .nbkit-plot { background: #ffffff; border-radius: 6px; }
        }
        @media print { nav { display: none; } main { margin: 0; max-width: none; } pre.source { white-space: pre-wrap; } .output, section { break-inside: avoid; } }
        """;
}
