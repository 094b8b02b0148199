using System.Text;

namespace NotebookKit.Chat.Jinja;

/// <summary>Carries a template out. One run each; what it may make and how long it may go on is limited, so that no template hangs.</summary>
internal sealed class Evaluator
{
    private const int MostSteps = 5_000_000, MostDepth = 120;
    private readonly Dictionary<string, object?> _globals;
    private readonly List<(int Start, int End)> _spans = [];
    private StringBuilder _output = new();
    private Frame _frame = new(null);
    private int _steps, _depth, _line;

    private Evaluator(IReadOnlyDictionary<string, object?> variables, DateTimeOffset now) => _globals = new(Globals.Make(now).Concat(variables.Select(v => KeyValuePair.Create(v.Key, v.Value))).GroupBy(v => v.Key).ToDictionary(g => g.Key, g => g.Last().Value, StringComparer.Ordinal));

    private sealed class Frame(Frame? parent)
    {
        public Frame? Parent => parent;

        public Dictionary<string, object?> Values { get; } = new(StringComparer.Ordinal);
    }

    private enum Flow { On, Break, Continue }

    /// <summary>The text, and where <c>generation</c> blocks stand in it, in UTF-16 units.</summary>
    public static (string Text, IReadOnlyList<(int Start, int End)> Spans) Run(IReadOnlyList<Node> template, IReadOnlyDictionary<string, object?> variables, DateTimeOffset now)
    {
        var evaluator = new Evaluator(variables, now);
        try
        {
            evaluator.Body(template);
            return (evaluator._output.ToString(), evaluator._spans);
        }
        catch (JinjaException e)
        {
            if (e.Line == 0) e.Line = evaluator._line;
            throw;
        }
    }

    private void Step(Node node)
    {
        _line = node.Line;
        if (++_steps > MostSteps || _output.Length > Python.MostCharacters) throw new JinjaException("TemplateRuntimeError", $"the template did not end after {_steps:N0} steps and {_output.Length:N0} characters");
    }

    private Flow Body(IReadOnlyList<Node> body)
    {
        foreach (var node in body)
            if (Statement(node) is var flow && flow != Flow.On) return flow;
        return Flow.On;
    }

    private Flow Scoped(IReadOnlyList<Node> body, Action<Frame>? prepare = null) => Scoped(() =>
    {
        prepare?.Invoke(_frame);
        return Body(body);
    });

    /// <summary>Runs with names of its own.</summary>
    private T Scoped<T>(Func<T> run)
    {
        var outer = _frame;
        _frame = new Frame(outer);
        try { return run(); }
        finally { _frame = outer; }
    }

    private string Captured(IReadOnlyList<Node> body, Action<Frame>? prepare = null) => Captured(() => Scoped(body, prepare));

    /// <summary>What a run would have written.</summary>
    private string Captured(Func<Flow> run)
    {
        var outer = _output;
        _output = new StringBuilder();
        try
        {
            _ = run();
            return _output.ToString();
        }
        finally { _output = outer; }
    }

    private Flow Statement(Node node)
    {
        Step(node);
        switch (node)
        {
            case Data data: _output.Append(data.Text); break;
            case Output output: _output.Append(Python.Text(Value(output.Value))); break;
            case If branch:
                foreach (var (condition, body) in branch.Branches)
                    if (Python.Truth(Value(condition))) return Body(body);
                return Body(branch.Else);
            case For loop: return Loop(loop, Value(loop.Over), 0);
            case Set set: Assign(set.Target, Value(set.Value)); break;
            case SetBlock block:
                object? text = Captured(block.Body);
                Assign(block.Target, block.Filter is null ? text : Filtered(block.Filter, text));
                break;
            case FilterBlock filter: _output.Append(Python.Text(Filtered(filter.Filter, Captured(filter.Body)))); break;
            case Macro macro: _frame.Values[macro.Name] = Callable(macro); break;
            case CallBlock call: _output.Append(Python.Text(Called(call.Call, ("caller", Callable(call.Caller))))); break;
            case With with:
                var values = with.Values.Select(v => (v.Target, Value: Value(v.Value))).ToArray();
                return Scoped(with.Body, _ =>
                {
                    foreach (var (target, value) in values) Assign(target, value);
                });
            case Scope scope: return Scoped(scope.Body);
            case Generation generation:
                var start = _output.Length;
                var body2 = Captured(generation.Body);
                _output.Append(body2);
                if (_output.Length > start) _spans.Add((start, _output.Length));
                break;
            case Break: return Flow.Break;
            case Continue: return Flow.Continue;
        }
        return Flow.On;
    }

    private Flow Loop(For loop, object? over, int depth)
    {
        if (depth > MostDepth) throw new JinjaException("RecursionError", "maximum recursion depth exceeded");
        var items = Python.Iterate(over);
        if (loop.Where is not null)
        {
            items = [.. items.Where(item => Scoped(() =>
            {
                Assign(loop.Target, item);
                return Python.Truth(Value(loop.Where));
            }))];
        }
        if (items.Count == 0) return Scoped(loop.Else);
        var context = new LoopContext(items, depth, inner => Captured(() => Loop(loop, inner, depth + 1)), loop.Recursive);
        for (var i = 0; i < items.Count; i++)
        {
            Step(loop);
            context.At = i;
            var flow = Scoped(loop.Body, frame =>
            {
                frame.Values["loop"] = context;
                Assign(loop.Target, items[i]);
            });
            if (flow == Flow.Break) break;
        }
        return Flow.On;
    }

    private void Assign(Expression target, object? value)
    {
        switch (target)
        {
            case NameOf name: _frame.Values[name.Name] = value; break;
            case Attribute attribute:
                if (Value(attribute.Of) is not Namespace ns) throw new JinjaException("TemplateRuntimeError", "cannot assign attribute on non-namespace object");
                ns.Values[attribute.Name] = value;
                break;
            case ListOf list:
                if (value is Undefined u) throw u.Error;
                var items = Python.Iterate(value);
                if (items.Count < list.Items.Count) throw new JinjaException("ValueError", $"not enough values to unpack (expected {list.Items.Count}, got {items.Count})");
                if (items.Count > list.Items.Count) throw new JinjaException("ValueError", $"too many values to unpack (expected {list.Items.Count})");
                foreach (var (one, item) in list.Items.Zip(items)) Assign(one, item);
                break;
        }
    }

    private Function Callable(Macro macro)
    {
        var home = _frame;
        return new Function(macro.Name, (positional, named) =>
        {
            if (++_depth > MostDepth) throw new JinjaException("RecursionError", "maximum recursion depth exceeded");
            var caller = _frame;
            _frame = home;
            try
            {
                return Captured(macro.Body, frame =>
                {
                    for (var i = 0; i < macro.Parameters.Count; i++)
                    {
                        var (name, fallback) = macro.Parameters[i];
                        frame.Values[name] = i < positional.Length ? positional[i] : named.TryGetValue(name, out var given) ? given
                            : fallback is not null ? Value(fallback) : new Undefined($"parameter '{name}' was not provided");
                    }
                    frame.Values["varargs"] = new Sequence([.. positional.Skip(macro.Parameters.Count)], true);
                    frame.Values["kwargs"] = new Mapping(named.Where(n => n.Key != "caller" && macro.Parameters.All(p => p.Name != n.Key)).Select(n => KeyValuePair.Create((object?)n.Key, n.Value)));
                    if (named.TryGetValue("caller", out var block)) frame.Values["caller"] = block;
                });
            }
            finally
            {
                _frame = caller;
                _depth--;
            }
        });
    }

    private object? Lookup(string name)
    {
        for (var frame = _frame; frame is not null; frame = frame.Parent)
            if (frame.Values.TryGetValue(name, out var value)) return value;
        return _globals.TryGetValue(name, out var global) ? global : Undefined.Variable(name);
    }

    private object? Value(Expression expression)
    {
        Step(expression);
        switch (expression)
        {
            case Constant constant: return constant.Value;
            case NameOf name: return Lookup(name.Name);
            case ListOf list: return new Sequence([.. list.Items.Select(Value)], list.IsTuple);
            case DictOf dict: return new Mapping([.. dict.Items.Select(i => KeyValuePair.Create(Value(i.Key), Value(i.Value)))]);
            case Attribute attribute: return Python.Attribute(Value(attribute.Of), attribute.Name);
            case Item { Key: SliceOf slice } item: return Python.Slice(Value(item.Of), slice.Start is null ? null : Value(slice.Start), slice.Stop is null ? null : Value(slice.Stop), slice.Step is null ? null : Value(slice.Step));
            case Item item: return Python.Item(Value(item.Of), Value(item.Key));
            case Call call: return Called(call, null);
            case Filter filter: return Filtered(filter, Value(filter.Of!));
            case Test test:
                var (positional, named) = Given(test.Arguments);
                return Tests.Run(test.Name, Value(test.Of), positional) ^ test.Negated;
            case Unary { Operator: "not" } not: return !Python.Truth(Value(not.Of));
            case Unary sign:
                var number = Value(sign.Of);
                if (number is Undefined u) throw u.Error;
                if (!Python.IsNumber(number)) throw JinjaException.Type($"bad operand type for unary {sign.Operator}: '{Python.TypeName(number)}'");
                return number is double d ? (object)(sign.Operator == "-" ? -d : d) : sign.Operator == "-" ? -Python.Whole(number) : Python.Whole(number);
            case Binary { Operator: "and" } and: return Value(and.Left) is var left && Python.Truth(left) ? Value(and.Right) : left;
            case Binary { Operator: "or" } or: return Value(or.Left) is var first && Python.Truth(first) ? first : Value(or.Right);
            case Binary binary: return Python.Arithmetic(binary.Operator, Value(binary.Left), Value(binary.Right));
            case Concat concat: return string.Concat(concat.Parts.Select(p => Python.Text(Value(p))));
            case Compare compare:
                var before = Value(compare.First);
                foreach (var (op, rightExpression) in compare.Rest)
                {
                    var right = Value(rightExpression);
                    var holds = op switch
                    {
                        "==" => Python.AreEqual(before, right), "!=" => !Python.AreEqual(before, right), "in" => Python.Contains(right, before), "not in" => !Python.Contains(right, before),
                        "<" => Python.Order(before, right, op) < 0, "<=" => Python.Order(before, right, op) <= 0, ">" => Python.Order(before, right, op) > 0, _ => Python.Order(before, right, op) >= 0,
                    };
                    if (!holds) return false;
                    before = right;
                }
                return true;
            case Conditional conditional:
                return Python.Truth(Value(conditional.If)) ? Value(conditional.Then) : conditional.Else is { } otherwise ? Value(otherwise)
                    : new Undefined("the inline if-expression evaluated to false and no else section was defined.");
            default: throw JinjaException.Type($"a {expression.GetType().Name} has no value of its own");
        }
    }

    private object? Called(Call call, (string Name, object? Value)? extra)
    {
        var function = Value(call.Function);
        var (positional, named) = Given(call.Arguments);
        if (extra is { } one) named[one.Name] = one.Value;
        _line = call.Line;
        return function switch
        {
            Function f => f.Call(positional, named), Special s => s.Call(positional), Undefined u => throw u.Error, Unsafe blocked => throw JinjaException.Security(blocked.Message),
            _ => throw JinjaException.Type($"'{Python.TypeName(function)}' object is not callable"),
        };
    }

    private object? Filtered(Filter filter, object? value)
    {
        // A chain of filters on a block stands with its innermost one empty.
        if (filter.Of is Filter inner && value is string && IsChain(filter)) value = Filtered(inner, value);
        var (positional, named) = Given(filter.Arguments);
        _line = filter.Line;
        return Jinja.Filters.Run(filter.Name, value, positional, named);
    }

    private static bool IsChain(Filter filter) => filter.Of is null || filter.Of is Filter inner && IsChain(inner);

    private (object?[] Positional, Dictionary<string, object?> Named) Given(Arguments arguments)
    {
        var positional = arguments.Positional.Select(Value).ToList();
        if (arguments.Rest is not null) positional.AddRange(Python.Iterate(Value(arguments.Rest)));
        var named = new Dictionary<string, object?>(StringComparer.Ordinal);
        foreach (var (name, value) in arguments.Named) named[name] = Value(value);
        if (arguments.NamedRest is not null && Value(arguments.NamedRest) is Mapping rest)
            foreach (var (name, value) in rest.Items) named[Python.Text(name)] = value;
        return ([.. positional], named);
    }

    /// <summary>The <c>loop</c> of a <c>for</c>.</summary>
    private sealed class LoopContext(IReadOnlyList<object?> items, int depth, Func<object?, string> again, bool recursive) : Special
    {
        private object? _changed = new();

        public int At { get; set; }

        public override string TypeName => "LoopContext";

        public override object? Get(string name) => name switch
        {
            "index" => (long)At + 1, "index0" => (long)At, "revindex" => (long)items.Count - At, "revindex0" => (long)items.Count - At - 1, "first" => At == 0, "last" => At == items.Count - 1,
            "length" => (long)items.Count, "depth" => (long)depth + 1, "depth0" => (long)depth,
            "previtem" => At > 0 ? items[At - 1] : new Undefined("there is no previous item"), "nextitem" => At + 1 < items.Count ? items[At + 1] : new Undefined("there is no next item"),
            "cycle" => new Function("cycle", (values, _) => values.Length > 0 ? values[At % values.Length] : throw JinjaException.Type("no items for cycling given")),
            "changed" => new Function("changed", (values, _) =>
            {
                var now = new Sequence(values, true);
                var changed = _changed is not Sequence before || !Python.AreEqual(before, now);
                _changed = now;
                return changed;
            }),
            _ => Undefined.Of(this, name),
        };

        public override object? Call(object?[] positional) => recursive ? again(positional.FirstOrDefault())
            : throw JinjaException.Type("The loop must have the 'recursive' marker to be called recursively.");
    }
}
