using System.Globalization;

namespace NotebookKit.Chat.Jinja;

/// <summary>Reads expressions by Jinja's grammar, by precedence from the loosest to the tightest (https://jinja.palletsprojects.com/en/stable/templates/#expressions).</summary>
internal abstract class ExpressionParser
{
    private protected const int MostNested = 200;
    private readonly List<Token> _tokens;
    private int _at;
    private protected int Depth;

    private protected ExpressionParser(List<Token> tokens) => _tokens = tokens;

    private protected Token Current => _tokens[_at];

    private protected Token Next() => _tokens[_at++];

    private protected bool Skip(string op)
    {
        if (!Current.Is(op)) return false;
        _at++;
        return true;
    }

    private protected bool SkipName(string name)
    {
        if (!Current.IsName(name)) return false;
        _at++;
        return true;
    }

    private protected void Expect(string op)
    {
        if (!Skip(op)) throw Unexpected($"expected token '{op}'");
    }

    private protected string Name() => Current.Kind == TokenKind.Name ? Next().Text : throw Unexpected("expected token 'name'");

    private protected JinjaException Unexpected(string wanted) => JinjaException.Syntax($"{wanted}, got '{Described(Current)}'", Current.Line);

    private protected static string Described(Token token) => token.Kind switch
    {
        TokenKind.End => "end of template", TokenKind.BlockEnd => "end of statement block", TokenKind.VariableEnd => "end of print statement", TokenKind.Data => "template data / text", _ => token.Text,
    };

    private protected Expression Tuple(bool conditional = true)
    {
        var line = Current.Line;
        Expression One() => conditional ? Expression() : Or();
        bool Ends() => Current.Kind is TokenKind.VariableEnd or TokenKind.BlockEnd or TokenKind.End || Current.Is(")") || Current.IsName("recursive") || Current.IsName("if") && !conditional;
        if (Ends()) throw Unexpected("Expected an expression");
        var first = One();
        if (!Current.Is(",")) return first;
        var items = new List<Expression> { first };
        while (Skip(",") && !Ends()) items.Add(One());
        return new ListOf(items, true, line);
    }

    private protected Expression Expression()
    {
        if (++Depth > MostNested) throw JinjaException.Syntax($"more than {MostNested} expressions inside one another", Current.Line);
        var line = Current.Line;
        var then = Or();
        while (SkipName("if"))
        {
            var condition = Or();
            then = new Conditional(condition, then, SkipName("else") ? Expression() : null, line);
        }
        Depth--;
        return then;
    }

    private Expression Or()
    {
        var left = And();
        while (Current.IsName("or")) left = new Binary(Next().Text, left, And(), Current.Line);
        return left;
    }

    private Expression And()
    {
        var left = Not();
        while (Current.IsName("and")) left = new Binary(Next().Text, left, Not(), Current.Line);
        return left;
    }

    private Expression Not()
    {
        if (!Current.IsName("not")) return Comparison();
        if (++Depth > MostNested) throw JinjaException.Syntax("too many nots", Current.Line);
        var line = Next().Line;
        var of = Not();
        Depth--;
        return new Unary("not", of, line);
    }

    private Expression Comparison()
    {
        var line = Current.Line;
        var first = Sum();
        var rest = new List<(string, Expression)>();
        while (true)
        {
            if (Current.Kind == TokenKind.Operator && Current.Text is "==" or "!=" or "<" or "<=" or ">" or ">=") rest.Add((Next().Text, Sum()));
            else if (SkipName("in")) rest.Add(("in", Sum()));
            else if (Current.IsName("not") && _tokens[_at + 1].IsName("in"))
            {
                _at += 2;
                rest.Add(("not in", Sum()));
            }
            else return rest.Count == 0 ? first : new Compare(first, rest, line);
        }
    }

    private Expression Sum()
    {
        var left = Joined();
        while (Current.Is("+") || Current.Is("-")) left = new Binary(Next().Text, left, Joined(), Current.Line);
        return left;
    }

    private Expression Joined()
    {
        var (first, line) = (Product(), Current.Line);
        if (!Current.Is("~")) return first;
        var parts = new List<Expression> { first };
        while (Skip("~")) parts.Add(Product());
        return new Concat(parts, line);
    }

    private Expression Product()
    {
        var left = Power();
        while (Current.Kind == TokenKind.Operator && Current.Text is "*" or "/" or "//" or "%") left = new Binary(Next().Text, left, Power(), Current.Line);
        return left;
    }

    private Expression Power()
    {
        var left = Signed();
        while (Current.Is("**")) left = new Binary(Next().Text, left, Signed(), Current.Line);
        return left;
    }

    private Expression Signed(bool withFilters = true)
    {
        Expression of;
        if (Current.Is("-") || Current.Is("+"))
        {
            if (++Depth > MostNested) throw JinjaException.Syntax("too many signs", Current.Line);
            var sign = Next();
            of = new Unary(sign.Text, Signed(false), sign.Line);
            Depth--;
        }
        else of = Primary();
        of = Postfix(of);
        return withFilters ? Filters(of, startInline: false)! : of;
    }

    private Expression Primary()
    {
        var token = Next();
        switch (token.Kind)
        {
            case TokenKind.Name:
                return token.Text switch
                {
                    "true" or "True" => new Constant(true, token.Line), "false" or "False" => new Constant(false, token.Line), "none" or "None" => new Constant(null, token.Line),
                    _ => new NameOf(token.Text, token.Line),
                };
            case TokenKind.Text:
                var text = token.Text;
                while (Current.Kind == TokenKind.Text) text += Next().Text;
                return new Constant(text, token.Line);
            case TokenKind.Integer: return new Constant(Integer(token), token.Line);
            case TokenKind.Float: return new Constant(double.Parse(token.Text, NumberStyles.Float, CultureInfo.InvariantCulture), token.Line);
            case TokenKind.Operator when token.Text == "(":
                if (Skip(")")) return new ListOf([], true, token.Line);
                var inner = Tuple();
                Expect(")");
                return inner;
            case TokenKind.Operator when token.Text == "[":
                var items = new List<Expression>();
                while (!Skip("]"))
                {
                    if (items.Count > 0) Expect(",");
                    if (Skip("]")) break;
                    items.Add(Expression());
                }
                return new ListOf(items, false, token.Line);
            case TokenKind.Operator when token.Text == "{":
                var pairs = new List<(Expression, Expression)>();
                while (!Skip("}"))
                {
                    if (pairs.Count > 0) Expect(",");
                    if (Skip("}")) break;
                    var key = Expression();
                    Expect(":");
                    pairs.Add((key, Expression()));
                }
                return new DictOf(pairs, token.Line);
            default:
                _at--;
                throw JinjaException.Syntax($"unexpected '{Described(token)}'", token.Line);
        }
    }

    private static object Integer(Token token) => token.Text.ToLowerInvariant() switch
    {
        ['0', 'x', .. var hex] => Convert.ToInt64(hex, 16), ['0', 'b', .. var bits] => Convert.ToInt64(bits, 2), ['0', 'o', .. var octal] => Convert.ToInt64(octal, 8),
        var digits => long.TryParse(digits, NumberStyles.None, CultureInfo.InvariantCulture, out var n) ? n : throw JinjaException.Syntax($"the number {digits} is too large", token.Line),
    };

    private Expression Postfix(Expression of)
    {
        while (true)
        {
            var line = Current.Line;
            if (Skip("."))
            {
                if (Current.Kind == TokenKind.Integer) of = new Item(of, new Constant(Integer(Next()), line), line);
                else of = new Attribute(of, Name(), line);
            }
            else if (Skip("["))
            {
                of = new Item(of, Subscript(), line);
                Expect("]");
            }
            else if (Current.Is("(")) of = new Call(of, CallArguments(), line);
            else return of;
        }
    }

    private Expression Subscript()
    {
        var line = Current.Line;
        var start = Current.Is(":") ? null : Expression();
        if (!Skip(":"))
        {
            if (!Current.Is(",")) return start!;
            var items = new List<Expression> { start! };
            while (Skip(",")) items.Add(Expression());
            return new ListOf(items, true, line);
        }
        var stop = Current.Is(":") || Current.Is("]") ? null : Expression();
        var step = Skip(":") && !Current.Is("]") ? Expression() : null;
        return new SliceOf(start, stop, step, line);
    }

    private Arguments CallArguments()
    {
        var (positional, named) = (new List<Expression>(), new List<(string, Expression)>());
        Expression? rest = null, namedRest = null;
        Expect("(");
        for (var first = true; !Skip(")"); first = false)
        {
            if (!first)
            {
                Expect(",");
                if (Skip(")")) break;
            }
            if (Skip("**")) namedRest = Expression();
            else if (Skip("*")) rest = Expression();
            else if (Current.Kind == TokenKind.Name && _tokens[_at + 1].Is("="))
            {
                var name = Name();
                _at++;
                named.Add((name, Expression()));
            }
            else if (named.Count > 0) throw JinjaException.Syntax("invalid syntax for function call expression", Current.Line);
            else positional.Add(Expression());
        }
        return new Arguments(positional, named, rest, namedRest);
    }

    private protected Expression? Filters(Expression? of, bool startInline)
    {
        while (true)
        {
            var line = Current.Line;
            if (startInline || Skip("|"))
            {
                startInline = false;
                var name = Name();
                while (Skip(".")) name += "." + Name();
                of = new Filter(of, name, Current.Is("(") ? CallArguments() : Arguments.None, line);
            }
            else if (of is not null && SkipName("is")) of = TestOf(of, line);
            else if (of is not null && Current.Is("(")) of = new Call(of, CallArguments(), line);
            else return of;
        }
    }

    private Test TestOf(Expression of, int line)
    {
        var negated = SkipName("not");
        var name = Name();
        while (Skip(".")) name += "." + Name();
        if (Current.Is("(")) return new Test(of, name, CallArguments(), negated, line);
        var takes = Current.Kind is TokenKind.Text or TokenKind.Integer or TokenKind.Float || Current.Is("[") || Current.Is("{")
            || Current.Kind == TokenKind.Name && Current.Text is not ("else" or "or" or "and" or "if" or "is" or "in" or "not" or "recursive");
        return new Test(of, name, takes ? new Arguments([Postfix(Primary())], []) : Arguments.None, negated, line);
    }
}
