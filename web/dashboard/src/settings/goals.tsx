import { useState } from "preact/hooks";
import { address, call, get } from "../api/client";
import type { Goal } from "../api/types";
import { useFound } from "../api/use-query";
import { Items } from "./items";
import { Section } from "./section";
import { sitePath } from "./settings";
import { useAct } from "./use-act";

/** What counts as a success: an event's name, or a page. */
export function Goals({ site }: { site: string }) {
  const act = useAct();
  const [changed, setChanged] = useState(0);
  const { data, failure } = useFound(site, changed, (signal) => get<{ goals: Goal[] }>(address(sitePath(site, "/goals")), signal));
  const [kind, setKind] = useState<"event_type" | "page_pattern">("event_type");
  const [name, setName] = useState("");
  const [target, setTarget] = useState("");
  const renew = () => setChanged(changed + 1);
  const add = async (event: Event) => {
    event.preventDefault();
    const goal = { name: name.trim() || target.trim(), [kind]: target.trim() };
    if (!(await act.run(() => call("POST", sitePath(site, "/goals"), goal)))) return;
    setName("");
    setTarget("");
    renew();
  };
  const remove = async (goal: Goal) => {
    if (await act.run(() => call("DELETE", sitePath(site, `/goals/${encodeURIComponent(goal.name)}`)))) renew();
  };
  return (
    <Section title="Goals" lead="What counts as a success. Goals hold for the past too." failure={act.failure ?? failure}>
      <Items
        items={(data?.goals ?? []).map((goal) => ({
          key: goal.name,
          name: goal.name,
          note: goal.event_type ? `event ${goal.event_type}` : `page ${goal.page_pattern}`,
          act: "Delete",
          onAct: () => remove(goal),
        }))}
        empty="No goals yet."
      />
      <form class="form" onSubmit={add}>
        <div class="form-row">
          <label>
            Reached by
            <select class="field" value={kind} onChange={(event) => setKind(event.currentTarget.value as typeof kind)}>
              <option value="event_type">Event</option>
              <option value="page_pattern">Page</option>
            </select>
          </label>
          <label class="grow">
            {kind === "event_type" ? "Event name" : "Page, * for anything"}
            <input
              class="field"
              required
              placeholder={kind === "event_type" ? "signup" : "/thanks*"}
              value={target}
              onInput={(event) => setTarget(event.currentTarget.value)}
            />
          </label>
          <label class="grow">
            Goal's name
            <input class="field" placeholder={target || "as above"} value={name} onInput={(event) => setName(event.currentTarget.value)} />
          </label>
          <button type="submit" class="button primary" disabled={act.busy || !target.trim()}>
            Add goal
          </button>
        </div>
      </form>
    </Section>
  );
}
