import { useState } from "preact/hooks";
import { address, call, get } from "../api/client";
import type { PublicLink } from "../api/types";
import { useFound } from "../api/use-query";
import { formatDate } from "../format";
import { Copy } from "../ui/copy";
import { Items } from "./items";
import { Section } from "./section";
import { sitePath } from "./settings";
import { useAct } from "./use-act";

/** Links that show one site's numbers to whoever has them. */
export function Links({ site }: { site: string }) {
  const act = useAct();
  const [changed, setChanged] = useState(0);
  const { data, failure } = useFound(site, changed, (signal) => get<{ links: PublicLink[] }>(address(sitePath(site, "/links")), signal));
  const [name, setName] = useState("");
  const [made, setMade] = useState<string | null>(null);
  const renew = () => setChanged(changed + 1);
  const add = async (event: Event) => {
    event.preventDefault();
    const worked = await act.run(async () => {
      const { path } = await call<{ path: string }>("POST", sitePath(site, "/links"), { name: name.trim() });
      setMade(location.origin + path);
    });
    if (!worked) return;
    setName("");
    renew();
  };
  const revoke = async (link: PublicLink) => {
    if (await act.run(() => call("DELETE", sitePath(site, `/links/${encodeURIComponent(link.name)}`)))) {
      setMade(null);
      renew();
    }
  };
  return (
    <Section title="Public links" lead="Whoever has a link sees this site's numbers, and nothing else." failure={act.failure ?? failure}>
      <Items
        items={(data?.links ?? []).map((link) => ({
          key: link.name,
          name: link.name,
          note: `since ${formatDate(link.created_at)}`,
          act: "Revoke",
          onAct: () => revoke(link),
        }))}
        empty="No public link."
      />
      {made && (
        <div class="once">
          <p>Copy the link now: it is shown this once.</p>
          <Copy text={made} label="Public link" />
        </div>
      )}
      <form class="form" onSubmit={add}>
        <div class="form-row">
          <label class="grow">
            Name of the link
            <input class="field" required maxLength={100} placeholder="For the team" value={name} onInput={(event) => setName(event.currentTarget.value)} />
          </label>
          <button type="submit" class="button primary" disabled={act.busy || !name.trim()}>
            Make a link
          </button>
        </div>
      </form>
    </Section>
  );
}
