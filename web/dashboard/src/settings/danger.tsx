import { useState } from "preact/hooks";
import { call } from "../api/client";
import { forgetAnswers } from "../api/use-query";
import { useNavigation } from "../view";
import { Section } from "./section";
import { sitePath } from "./settings";
import { useAct } from "./use-act";

/** What cannot be undone; the site's name must be typed. */
export function Danger({ site, onDone }: { site: string; onDone: () => void }) {
  const { go } = useNavigation();
  const act = useAct();
  const [typed, setTyped] = useState("");
  const sure = typed.trim() === site;
  const end = async (work: () => Promise<unknown>, next: string | null) => {
    if (!(await act.run(work))) return;
    forgetAnswers();
    onDone();
    go({ site: next, page: "overview", filters: [] });
  };
  return (
    <Section title="Reset or delete" lead="Both are for good. A reset forgets all numbers; a delete takes the goals, funnels, links and tokens too." failure={act.failure}>
      <div class="form-row form">
        <label class="grow">
          Type {site} to go on
          <input class="field" value={typed} autocomplete="off" onInput={(event) => setTyped(event.currentTarget.value)} />
        </label>
        <button type="button" class="button danger" disabled={!sure || act.busy} onClick={() => end(() => call("POST", sitePath(site, "/reset")), site)}>
          Reset the numbers
        </button>
        <button type="button" class="button danger" disabled={!sure || act.busy} onClick={() => end(() => call("DELETE", sitePath(site)), null)}>
          Delete the site
        </button>
      </div>
    </Section>
  );
}
