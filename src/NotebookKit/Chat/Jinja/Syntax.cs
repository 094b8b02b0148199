namespace NotebookKit.Chat.Jinja;

/// <summary>Expressions and statements of a template, as the parser makes them.</summary>
internal abstract record Node(int Line);

internal abstract record Expression(int Line) : Node(Line);
internal sealed record Constant(object? Value, int Line) : Expression(Line);
internal sealed record NameOf(string Name, int Line) : Expression(Line);
internal sealed record ListOf(IReadOnlyList<Expression> Items, bool IsTuple, int Line) : Expression(Line);
internal sealed record DictOf(IReadOnlyList<(Expression Key, Expression Value)> Items, int Line) : Expression(Line);
internal sealed record Attribute(Expression Of, string Name, int Line) : Expression(Line);
internal sealed record Item(Expression Of, Expression Key, int Line) : Expression(Line);
internal sealed record SliceOf(Expression? Start, Expression? Stop, Expression? Step, int Line) : Expression(Line);
internal sealed record Call(Expression Function, Arguments Arguments, int Line) : Expression(Line);
internal sealed record Filter(Expression? Of, string Name, Arguments Arguments, int Line) : Expression(Line);
internal sealed record Test(Expression Of, string Name, Arguments Arguments, bool Negated, int Line) : Expression(Line);
internal sealed record Unary(string Operator, Expression Of, int Line) : Expression(Line);
internal sealed record Binary(string Operator, Expression Left, Expression Right, int Line) : Expression(Line);
internal sealed record Compare(Expression First, IReadOnlyList<(string Operator, Expression Right)> Rest, int Line) : Expression(Line);
internal sealed record Concat(IReadOnlyList<Expression> Parts, int Line) : Expression(Line);
internal sealed record Conditional(Expression If, Expression Then, Expression? Else, int Line) : Expression(Line);

internal sealed record Arguments(IReadOnlyList<Expression> Positional, IReadOnlyList<(string Name, Expression Value)> Named, Expression? Rest = null, Expression? NamedRest = null)
{
    public static readonly Arguments None = new([], []);
}

internal sealed record Data(string Text, int Line) : Node(Line);
internal sealed record Output(Expression Value, int Line) : Node(Line);
internal sealed record If(IReadOnlyList<(Expression Condition, IReadOnlyList<Node> Body)> Branches, IReadOnlyList<Node> Else, int Line) : Node(Line);
internal sealed record For(Expression Target, Expression Over, Expression? Where, bool Recursive, IReadOnlyList<Node> Body, IReadOnlyList<Node> Else, int Line) : Node(Line);
internal sealed record Set(Expression Target, Expression Value, int Line) : Node(Line);
internal sealed record SetBlock(Expression Target, Filter? Filter, IReadOnlyList<Node> Body, int Line) : Node(Line);
internal sealed record Macro(string Name, IReadOnlyList<(string Name, Expression? Default)> Parameters, IReadOnlyList<Node> Body, int Line) : Node(Line);
internal sealed record CallBlock(Call Call, Macro Caller, int Line) : Node(Line);
internal sealed record FilterBlock(Filter Filter, IReadOnlyList<Node> Body, int Line) : Node(Line);
internal sealed record With(IReadOnlyList<(Expression Target, Expression Value)> Values, IReadOnlyList<Node> Body, int Line) : Node(Line);
internal sealed record Scope(IReadOnlyList<Node> Body, int Line) : Node(Line);
internal sealed record Generation(IReadOnlyList<Node> Body, int Line) : Node(Line);
internal sealed record Break(int Line) : Node(Line);
internal sealed record Continue(int Line) : Node(Line);
