import type { ComponentChildren } from "preact";
import { formatView, useNavigation, type View } from "../view";

interface Props {
  change: Partial<View>;
  class?: string;
  current?: boolean;
  children: ComponentChildren;
}

/** A link to another view, which the browser can also open in a tab of its own. */
export function ViewLink({ change, class: name, current = false, children }: Props) {
  const { view, go } = useNavigation();
  return (
    <a
      class={name}
      href={formatView({ ...view, ...change })}
      aria-current={current ? "page" : undefined}
      onClick={(event) => {
        if (event.ctrlKey || event.metaKey || event.shiftKey) return;
        event.preventDefault();
        go(change);
      }}
    >
      {children}
    </a>
  );
}
