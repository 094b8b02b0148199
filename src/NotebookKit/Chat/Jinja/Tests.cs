using System.Globalization;

namespace NotebookKit.Chat.Jinja;

/// <summary>Jinja's tests, after <c>is</c> (https://jinja.palletsprojects.com/en/stable/templates/#list-of-builtin-tests).</summary>
internal static class Tests
{
    public static bool Run(string name, object? value, object?[] given)
    {
        object? Argument(int i) => i < given.Length ? given[i] : throw JinjaException.Type($"test '{name}' needs an argument");
        return name switch
        {
            "defined" => value is not Undefined,
            "undefined" => value is Undefined,
            "none" => value is null,
            "boolean" => value is bool,
            "true" => value is true,
            "false" => value is false,
            "integer" => value is long,
            "float" => value is double,
            "number" => Python.IsNumber(value),
            "string" => value is string,
            "mapping" => value is Mapping,
            "sequence" => value is string or Sequence or Mapping or Undefined,
            "iterable" => value is string or Sequence or Mapping or Undefined,
            "callable" => value is Function or Special { TypeName: "LoopContext" },
            "escaped" => false,
            "odd" => Python.Truth(Python.AreEqual(Python.Arithmetic("%", value, 2L), 1L)),
            "even" => Python.AreEqual(Python.Arithmetic("%", value, 2L), 0L),
            "divisibleby" => Python.AreEqual(Python.Arithmetic("%", value, Argument(0)), 0L),
            "upper" => Cased(value, upper: true),
            "lower" => Cased(value, upper: false),
            "eq" or "equalto" or "==" => Python.AreEqual(value, Argument(0)),
            "ne" or "!=" => !Python.AreEqual(value, Argument(0)),
            "lt" or "lessthan" or "<" => Python.Order(value, Argument(0), "<") < 0,
            "le" or "<=" => Python.Order(value, Argument(0), "<=") <= 0,
            "gt" or "greaterthan" or ">" => Python.Order(value, Argument(0), ">") > 0,
            "ge" or ">=" => Python.Order(value, Argument(0), ">=") >= 0,
            "in" => Python.Contains(Argument(0), value),
            "sameas" => ReferenceEquals(value, Argument(0)) || value is null or bool or long && Python.TypeName(value) == Python.TypeName(Argument(0)) && Python.AreEqual(value, Argument(0)),
            "filter" => value is string filter && Filters.IsKnown(filter),
            "test" => value is string test && Known.Contains(test),
            _ => throw new JinjaException("TemplateAssertionError", $"No test named {Python.Repr(name)}."),
        };
    }

    private static readonly HashSet<string> Known =
    [
        "defined", "undefined", "none", "boolean", "true", "false", "integer", "float", "number", "string", "mapping", "sequence", "iterable", "callable", "escaped", "odd", "even", "divisibleby", "upper", "lower",
        "eq", "equalto", "==", "ne", "!=", "lt", "lessthan", "<", "le", "<=", "gt", "greaterthan", ">", "ge", ">=", "in", "sameas", "filter", "test",
    ];

    private static bool Cased(object? value, bool upper)
    {
        var text = Python.Text(value);
        return text.Any(c => char.IsUpper(c) || char.IsLower(c)) && (upper ? text.ToUpper(CultureInfo.InvariantCulture) : text.ToLower(CultureInfo.InvariantCulture)) == text;
    }
}
