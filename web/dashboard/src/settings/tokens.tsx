import { useState } from "preact/hooks";
import { address, call, get } from "../api/client";
import type { Session, Token } from "../api/types";
import { useFound } from "../api/use-query";
import { formatDate } from "../format";
import { Copy } from "../ui/copy";
import { Items } from "./items";
import { Section } from "./section";
import { useAct } from "./use-act";

const SCOPES: [string, string][] = [
  ["read", "Read numbers"],
  ["ingest", "Send events"],
  ["import", "Import the past"],
  ["admin", "Everything"],
];

/** Tokens of programs and people, of this site or of all. */
export function Tokens({ session, site }: { session: Session; site: string | null }) {
  const act = useAct();
  const everySite = session.site === null;
  const [changed, setChanged] = useState(0);
  const { data, failure } = useFound(`tokens ${site}`, changed, (signal) =>
    get<{ tokens: Token[] }>(address("/api/tokens", everySite || site === null ? {} : { site }), signal),
  );
  const [name, setName] = useState("");
  const [scopes, setScopes] = useState(["read"]);
  const [forAll, setForAll] = useState(site === null);
  const [made, setMade] = useState<string | null>(null);
  const renew = () => setChanged(changed + 1);
  const add = async (event: Event) => {
    event.preventDefault();
    const wanted = { name: name.trim(), scopes, site: forAll ? null : site };
    const worked = await act.run(async () => setMade((await call<{ secret: string }>("POST", "/api/tokens", wanted)).secret));
    if (!worked) return;
    setName("");
    renew();
  };
  const revoke = async (token: Token) => {
    if (await act.run(() => call("DELETE", `/api/tokens/${encodeURIComponent(token.name)}`))) {
      setMade(null);
      renew();
    }
  };
  const alive = (data?.tokens ?? []).filter((token) => token.revoked_at === null && (token.site === null || site === null || token.site === site));
  return (
    <Section title="Tokens" lead="For programs, and for people who sign in here. Only a fingerprint of each is kept." failure={act.failure ?? failure}>
      <Items
        items={alive.map((token) => ({
          key: token.name,
          name: token.name,
          note: [
            token.scopes.join(", "),
            token.site ?? "all sites",
            token.last_used_at ? `last used ${formatDate(token.last_used_at)}` : "never used",
          ].join(" · "),
          act: "Revoke",
          onAct: () => revoke(token),
        }))}
        empty="No token yet."
      />
      {made && (
        <div class="once">
          <p>Copy the token now: it is shown this once.</p>
          <Copy text={made} label="New token" />
        </div>
      )}
      <form class="form" onSubmit={add}>
        <div class="form-row">
          <label class="grow">
            Name of the token
            <input class="field" required maxLength={100} placeholder="Import script" value={name} onInput={(event) => setName(event.currentTarget.value)} />
          </label>
          {everySite && site !== null && (
            <label>
              For
              <select class="field" value={forAll ? "all" : "site"} onChange={(event) => setForAll(event.currentTarget.value === "all")}>
                <option value="site">{site}</option>
                <option value="all">All sites</option>
              </select>
            </label>
          )}
        </div>
        <fieldset class="scopes">
          <legend>May</legend>
          {SCOPES.map(([scope, label]) => (
            <label key={scope} class="check">
              <input
                type="checkbox"
                checked={scopes.includes(scope)}
                onChange={(event) => setScopes(event.currentTarget.checked ? [...scopes, scope] : scopes.filter((each) => each !== scope))}
              />
              {label}
            </label>
          ))}
        </fieldset>
        <div class="form-end">
          <button type="submit" class="button primary" disabled={act.busy || !name.trim() || scopes.length === 0}>
            Make a token
          </button>
        </div>
      </form>
    </Section>
  );
}
