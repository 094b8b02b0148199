namespace NotebookKit.Chat.Jinja;

/// <summary>Reads the statements of a template by Jinja's grammar (https://jinja.palletsprojects.com/en/stable/templates/).</summary>
internal sealed class Parser : ExpressionParser
{
    private readonly Stack<string> _open = new();

    private Parser(List<Token> tokens) : base(tokens) { }

    public static IReadOnlyList<Node> Parse(string source)
    {
        var parser = new Parser(Lexer.Read(source));
        return parser.Statements([]);
    }

    private void EndBlock()
    {
        if (Current.Kind != TokenKind.BlockEnd) throw Unexpected("expected token 'end of statement block'");
        _ = Next();
    }

    /// <summary>Statements up to a block whose name is one of these; that block's name is left to read.</summary>
    private IReadOnlyList<Node> Statements(string[] ends)
    {
        if (++Depth > MostNested) throw JinjaException.Syntax($"more than {MostNested} statements inside one another", Current.Line);
        var body = new List<Node>();
        while (true)
        {
            var token = Current;
            switch (token.Kind)
            {
                case TokenKind.Data:
                    body.Add(new Data(Next().Text, token.Line));
                    break;
                case TokenKind.VariableBegin:
                    _ = Next();
                    body.Add(new Output(Tuple(), token.Line));
                    if (Current.Kind != TokenKind.VariableEnd) throw Unexpected("expected token 'end of print statement'");
                    _ = Next();
                    break;
                case TokenKind.BlockBegin:
                    _ = Next();
                    if (Current.Kind == TokenKind.Name && ends.Contains(Current.Text))
                    {
                        Depth--;
                        return body;
                    }
                    _open.Push(Current.Text);
                    body.Add(Statement());
                    _open.Pop();
                    break;
                case TokenKind.End when ends.Length == 0:
                    Depth--;
                    return body;
                default:
                    throw JinjaException.Syntax($"Unexpected end of template. Jinja was looking for the following tags: {string.Join(" or ", ends.Select(e => $"'{e}'"))}." + (_open.Count > 0 ? $" The innermost block that needs to be closed is '{_open.Peek()}'." : ""), token.Line);
            }
        }
    }

    private IReadOnlyList<Node> Body(params string[] ends)
    {
        EndBlock();
        return Statements(ends);
    }

    /// <summary>A body whose end tag is read with it.</summary>
    private IReadOnlyList<Node> BodyAndEnd(string end)
    {
        var body = Body(end);
        _ = Next();
        EndBlock();
        return body;
    }

    private Node Statement()
    {
        var line = Current.Line;
        var name = Name();
        switch (name)
        {
            case "if": return IfStatement(line);
            case "for": return ForStatement(line);
            case "set": return SetStatement(line);
            case "macro":
                var macro = Name();
                return new Macro(macro, Parameters(), BodyAndEnd("endmacro"), line);
            case "call":
                var parameters = Current.Is("(") ? Parameters() : [];
                var call = Expression() as Call ?? throw JinjaException.Syntax("expected call", line);
                return new CallBlock(call, new Macro("caller", parameters, BodyAndEnd("endcall"), line), line);
            case "filter":
                var filter = (Filter)Filters(null, startInline: true)!;
                return new FilterBlock(filter, BodyAndEnd("endfilter"), line);
            case "with":
                var values = new List<(Expression, Expression)>();
                while (Current.Kind != TokenKind.BlockEnd)
                {
                    if (values.Count > 0) Expect(",");
                    var target = Target(false);
                    Expect("=");
                    values.Add((target, Expression()));
                }
                return new With(values, BodyAndEnd("endwith"), line);
            case "block":
                _ = Name();
                while (Current.Kind == TokenKind.Name) _ = Next();
                var block = Body("endblock");
                _ = Next();
                if (Current.Kind == TokenKind.Name) _ = Next();
                EndBlock();
                return new Scope(block, line);
            case "autoescape":
                _ = Expression();
                return new Scope(BodyAndEnd("endautoescape"), line);
            case "generation": return new Generation(BodyAndEnd("endgeneration"), line);
            case "print":
                var printed = Tuple();
                EndBlock();
                return new Output(printed, line);
            case "break":
                EndBlock();
                return new Break(line);
            case "continue":
                EndBlock();
                return new Continue(line);
            case "include" or "import" or "from" or "extends":
                throw JinjaException.Syntax($"a chat template stands alone: {{% {name} %}} is not allowed", line);
            default: throw JinjaException.Syntax($"Encountered unknown tag '{name}'.", line);
        }
    }

    private If IfStatement(int line)
    {
        var branches = new List<(Expression, IReadOnlyList<Node>)>();
        IReadOnlyList<Node> rest = [];
        var condition = Tuple(conditional: false);
        while (true)
        {
            branches.Add((condition, Body("elif", "else", "endif")));
            var next = Next().Text;
            if (next == "elif")
            {
                condition = Tuple(conditional: false);
                continue;
            }
            if (next == "else")
            {
                rest = Body("endif");
                _ = Next();
            }
            EndBlock();
            return new If(branches, rest, line);
        }
    }

    private For ForStatement(int line)
    {
        var target = Target(false);
        if (!SkipName("in")) throw Unexpected("expected token 'in'");
        var over = Tuple(conditional: false);
        var where = SkipName("if") ? Expression() : null;
        var recursive = SkipName("recursive");
        var body = Body("endfor", "else");
        IReadOnlyList<Node> rest = [];
        if (Next().Text == "else")
        {
            rest = Body("endfor");
            _ = Next();
        }
        EndBlock();
        return new For(target, over, where, recursive, body, rest, line);
    }

    private Node SetStatement(int line)
    {
        var target = Target(true);
        if (Skip("="))
        {
            var value = Tuple();
            EndBlock();
            return new Set(target, value, line);
        }
        var filter = Current.Is("|") ? (Filter?)Filters(null, startInline: false) : null;
        return new SetBlock(target, filter, BodyAndEnd("endset"), line);
    }

    /// <summary>Names, tuples of names, and (for <c>set</c>) an attribute of a namespace.</summary>
    private Expression Target(bool withNamespace)
    {
        var line = Current.Line;
        Expression One()
        {
            if (Skip("("))
            {
                var inner = Target(withNamespace);
                Expect(")");
                return inner;
            }
            var name = new NameOf(Name(), line);
            return withNamespace && Skip(".") ? new Attribute(name, Name(), line) : name;
        }
        var first = One();
        if (!Current.Is(",")) return first;
        var items = new List<Expression> { first };
        while (Skip(","))
            if (Current.Kind == TokenKind.Name && !Current.IsName("in") || Current.Is("(")) items.Add(One());
        return new ListOf(items, true, line);
    }

    private List<(string, Expression?)> Parameters()
    {
        var parameters = new List<(string, Expression?)>();
        Expect("(");
        while (!Skip(")"))
        {
            if (parameters.Count > 0) Expect(",");
            var name = Name();
            parameters.Add((name, Skip("=") ? Expression() : null));
        }
        return parameters;
    }
}
