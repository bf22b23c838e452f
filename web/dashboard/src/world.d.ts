declare module "virtual:world" {
  const world: {
    width: number;
    height: number;
    /** SVG paths by ISO 3166 code. */
    paths: Record<string, string>;
    /** Lands too small to draw. */
    points: Record<string, [number, number]>;
  };
  export default world;
}
declare module "*.css";
