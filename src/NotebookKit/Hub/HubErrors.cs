using System.Net;

namespace NotebookKit.Hub;

/// <summary>What the hub refuses, in words that say what to do.</summary>
internal static class HubErrors
{
    public static Exception Of(HttpResponseMessage response, string what, Uri address, bool hasToken) =>
        Of(response.StatusCode, response.Headers.TryGetValues("X-Error-Code", out var codes) ? codes.First() : "", what, address, hasToken);

    public static Exception Of(HttpStatusCode status, string code, string what, Uri address, bool hasToken)
    {
        var site = address.GetLeftPart(UriPartial.Authority);
        return (code, (int)status) switch
        {
            ("GatedRepo", _) or (_, 403) => new UnauthorizedAccessException($"'{what}' is gated: its owner wants a licence accepted first. Open {site}/{what.Split(' ')[0]} in a browser, accept it, and set HF_TOKEN to a token of that account"
                + (hasToken ? " (the token in use has no access)." : " (no token is set).")),
            ("RevisionNotFound", _) => new FileNotFoundException($"'{what}' has no such revision. See {site}/{what.Split(' ')[0]}/tree/main."),
            ("EntryNotFound", _) => new FileNotFoundException($"'{what}' is not in the repository."),
            (_, 401) => new UnauthorizedAccessException($"'{what}' does not exist, or is private. Check the spelling; for a private repository set HF_TOKEN to a token that may read it" + (hasToken ? " (the token in use may not)." : " (no token is set).")),
            (_, 404) => new FileNotFoundException($"'{what}' is not on {site}. Check the spelling."),
            _ => new IOException($"{site} answers {(int)status} for '{what}'."),
        };
    }
}
