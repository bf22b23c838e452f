import { useState } from "preact/hooks";
import { call } from "../api/client";
import { useNavigation } from "../view";
import { Section } from "./section";
import { useAct } from "./use-act";

/** Makes another site. */
export function AddSite({ onAdded }: { onAdded: () => void }) {
  const { go } = useNavigation();
  const act = useAct();
  const [name, setName] = useState("");
  const add = async (event: Event) => {
    event.preventDefault();
    const site = name.trim().toLowerCase();
    const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
    if (!(await act.run(() => call("POST", "/api/sites", { name: site, time_zone: zone })))) return;
    setName("");
    onAdded();
    go({ site, page: "overview", filters: [] });
  };
  return (
    <Section title="Another site" lead="Sites are also made by themselves when their first event arrives, unless SITES names them." failure={act.failure}>
      <form class="form" onSubmit={add}>
        <div class="form-row">
          <label class="grow">
            Host name
            <input class="field" required maxLength={253} placeholder="example.com" value={name} onInput={(event) => setName(event.currentTarget.value)} />
          </label>
          <button type="submit" class="button primary" disabled={act.busy || !name.trim()}>
            Add site
          </button>
        </div>
      </form>
    </Section>
  );
}
