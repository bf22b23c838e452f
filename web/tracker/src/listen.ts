/** Listeners that no page can silence and that never throw into one. */

export const guard =
  <A extends unknown[], R>(run: (...args: A) => R) =>
  (...args: A): R | undefined => {
    try {
      return run(...args);
    } catch {
      // Analytics is never worth an error on someone's page.
    }
  };

// On window and while capturing: before the page's own handlers can stop the event.
export const on = (types: string, run: (event: any) => void): void =>
  types.split(" ").forEach((type) => addEventListener(type, guard(run), true));
