import type { ComponentChildren } from "preact";
import { useState } from "preact/hooks";
import type { Scope } from "../api/query";

interface Props {
  scope: Scope;
  property: string;
  onProperty: (property: string) => void;
  children: (property: string) => ComponentChildren;
}

/** Chooses the property by which events are broken down. */
export function Properties({ property, onProperty, children }: Props) {
  const [text, setText] = useState(property);
  const submit = (event: Event) => {
    event.preventDefault();
    onProperty(text.trim());
  };
  return (
    <>
      <form class="inline-form" onSubmit={submit}>
        <input class="field" aria-label="Property" placeholder="Property, such as plan" value={text} onInput={(event) => setText(event.currentTarget.value)} />
        <button type="submit" class="button">
          Show
        </button>
      </form>
      {property ? children(property) : <p class="nothing">Events may carry properties: analytics.track("signup", {"{"} plan: "free" {"}"}).</p>}
    </>
  );
}
