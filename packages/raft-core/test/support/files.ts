/**
 * A file of this package as text, by its path from the package's folder: through the bundler, for this
 * package has no platform to read files with.
 */
export async function textOf(path: string): Promise<string> {
  const file = new URL(`../../${path}`, import.meta.url).pathname
  const module = (await import(/* @vite-ignore */ `/@fs${file}?raw`)) as {
    readonly default: string
  }
  return module.default
}
