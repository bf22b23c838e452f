import { useState } from "preact/hooks";
import type { Site } from "../api/types";
import { Section } from "./section";
import { patchSite } from "./settings";
import { useAct } from "./use-act";

const toLines = (text: string) =>
  text
    .split("\n")
    .map((line) => line.trim())
    .filter(Boolean);

/** What a site does not count. */
export function Exclusions({ site, onChanged }: { site: Site; onChanged: () => void }) {
  const act = useAct();
  const [hosts, setHosts] = useState(site.host_names.join("\n"));
  const [addresses, setAddresses] = useState(site.excluded_addresses.join("\n"));
  const [paths, setPaths] = useState(site.excluded_paths.join("\n"));
  const [done, setDone] = useState("");
  const save = async (event: Event) => {
    event.preventDefault();
    setDone("");
    const change = { host_names: toLines(hosts), excluded_addresses: toLines(addresses), excluded_paths: toLines(paths) };
    if (await act.run(() => patchSite(site.name, change))) {
      setDone("Saved.");
      onChanged();
    }
  };
  const box = (label: string, hint: string, value: string, set: (value: string) => void) => (
    <label class="grow">
      {label}
      <textarea class="field" rows={3} placeholder={hint} value={value} onInput={(event) => set(event.currentTarget.value)} />
    </label>
  );
  return (
    <Section title="Exclusions" lead="One entry a line. What matches is answered as ignored and kept nowhere." failure={act.failure} done={done}>
      <form class="form" onSubmit={save}>
        <div class="form-row">
          {box("Leave out addresses", "203.0.113.0/24", addresses, setAddresses)}
          {box("Leave out pages", "/admin/*", paths, setPaths)}
          {box("Count only these hosts", "any host", hosts, setHosts)}
        </div>
        <div class="form-end">
          <button type="submit" class="button primary" disabled={act.busy}>
            Save
          </button>
        </div>
      </form>
    </Section>
  );
}
