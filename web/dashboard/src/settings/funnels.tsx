import { useState } from "preact/hooks";
import { call } from "../api/client";
import type { Funnel } from "../api/types";
import { FunnelEditor } from "../funnel/editor";
import { stepsLabel } from "../funnel/step";
import { useFunnels } from "../funnel/use-funnels";
import { Items } from "./items";
import { Section } from "./section";
import { sitePath } from "./settings";
import { useAct } from "./use-act";

/** Steps of which one wants to know how many go on. */
export function FunnelSettings({ site }: { site: string }) {
  const act = useAct();
  const [changed, setChanged] = useState(0);
  const [edited, setEdited] = useState<Funnel | "new" | null>(null);
  const { data, failure } = useFunnels(site, changed);
  const renew = () => setChanged(changed + 1);
  const remove = async (funnel: Funnel) => {
    if (await act.run(() => call("DELETE", sitePath(site, `/funnels/${encodeURIComponent(funnel.name)}`)))) renew();
  };
  return (
    <Section title="Funnels" lead="Steps that visitors take one after the other, and how many go on. Funnels hold for the past too." failure={act.failure ?? failure}>
      <Items
        items={(data?.funnels ?? []).map((funnel) => ({
          key: funnel.name,
          name: funnel.name,
          note: stepsLabel(funnel.steps),
          onEdit: () => setEdited(funnel),
          act: "Delete",
          onAct: () => remove(funnel),
        }))}
        empty="No funnels yet."
      />
      <div class="form-end">
        <button type="button" class="button primary" onClick={() => setEdited("new")}>
          Make a funnel
        </button>
      </div>
      {edited && (
        <FunnelEditor
          site={site}
          funnel={edited === "new" ? null : edited}
          onClose={() => setEdited(null)}
          onSaved={() => {
            setEdited(null);
            renew();
          }}
        />
      )}
    </Section>
  );
}
