import { useState } from "preact/hooks";
import { call } from "../api/client";
import type { Site } from "../api/types";
import { useNavigation } from "../view";
import { Section } from "./section";
import { patchSite, sitePath } from "./settings";
import { useAct } from "./use-act";

interface Props {
  site: Site;
  onChanged: () => void;
  onRenew: () => void;
}

/** A site's name and time zone. */
export function SiteName({ site, onChanged, onRenew }: Props) {
  const { go } = useNavigation();
  const act = useAct();
  const [name, setName] = useState(site.name);
  const [zone, setZone] = useState(site.time_zone);
  const [done, setDone] = useState("");
  const save = async (event: Event) => {
    event.preventDefault();
    const worked = await act.run(async () => {
      if (zone !== site.time_zone) await patchSite(site.name, { time_zone: zone });
      if (name.trim() !== site.name) await call("POST", sitePath(site.name, "/rename"), { name: name.trim() });
    });
    if (!worked) return;
    setDone("Saved.");
    if (name.trim() !== site.name) go({ site: name.trim() }, true);
    onChanged();
    onRenew();
  };
  const zones = [...new Set(["UTC", site.time_zone, ...Intl.supportedValuesOf("timeZone")])];
  return (
    <Section title="Site" lead="Pages that still send the old name go on counting after a new one. Days begin and end in the time zone." failure={act.failure} done={done}>
      <form class="form" onSubmit={save}>
        <div class="form-row">
          <label class="grow">
            Name
            <input class="field" required maxLength={253} value={name} onInput={(event) => setName(event.currentTarget.value)} />
          </label>
          <label class="grow">
            Time zone
            <select class="field" value={zone} onChange={(event) => setZone(event.currentTarget.value)}>
              {zones.map((each) => (
                <option key={each} value={each}>
                  {each.replaceAll("_", " ")}
                </option>
              ))}
            </select>
          </label>
          <button type="submit" class="button primary" disabled={act.busy || (name.trim() === site.name && zone === site.time_zone)}>
            Save
          </button>
        </div>
        {site.aliases.length > 0 && <p class="soft">Also counted: {site.aliases.join(", ")}</p>}
        {site.rebuild_wanted && (
          <p class="wrong">
            Days counted before stand in the old time zone until <code>portfolio-analytics rebuild</code> has run on the server.
          </p>
        )}
      </form>
    </Section>
  );
}
