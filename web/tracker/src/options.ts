/** What the owner of the site chose. */

export interface Options {
  /** Address that events are posted to; batches go to the same address plus `/batch`. */
  endpoint: string;
  /** Name of the site; without it the server takes the host of the page. */
  site?: string | undefined;
  /** `required`: nothing leaves the page and nothing is stored before `consent("granted")`. */
  consent?: string | undefined;
  /** Routes live in the fragment: `/#/about` is the page `/about`. */
  hash?: string | undefined;
}

export let options: Options;

export const choose = (chosen: Options): Options => (options = chosen);
