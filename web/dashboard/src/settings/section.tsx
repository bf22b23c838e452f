import type { ComponentChildren } from "preact";
import { useId } from "preact/hooks";
import type { ApiFailure } from "../api/client";

interface Props {
  title: string;
  lead: string;
  failure: ApiFailure | null;
  done?: string;
  children: ComponentChildren;
}

/** One matter of the settings: what it is for on the left, what can be done on the right. */
export function Section({ title, lead, failure, done = "", children }: Props) {
  const id = useId();
  return (
    <section class="card setting" aria-labelledby={id}>
      <div>
        <h2 id={id}>{title}</h2>
        <p class="soft">{lead}</p>
      </div>
      <div class="setting-body">
        {children}
        {failure && (
          <p class="wrong" role="alert">
            {failure.message}
          </p>
        )}
        <p class="done" role="status">
          {done}
        </p>
      </div>
    </section>
  );
}
