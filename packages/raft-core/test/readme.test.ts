import { expect, test } from 'vitest'
import { resolveOptions } from '../src/options.ts'

const UNITS: Record<string, number> = { KiB: 1 << 10, MiB: 1 << 20 }

function valueOf(words: string): number | boolean | string {
  if (words === 'true' || words === 'false') return words === 'true'
  if (/^[a-z]+$/.test(words)) return words
  const [number, unit] = words.split(' ')
  return Number(number) * (unit === undefined ? 1 : (UNITS[unit] as number))
}

/** A file as text, through the bundler, for this package has no platform to read files with. */
async function textOf(path: string): Promise<string> {
  const module = (await import(/* @vite-ignore */ `${path}?raw`)) as { readonly default: string }
  return module.default
}

test('the README names every option and its default', async () => {
  const readme = await textOf('../README.md')
  const rows = [...readme.matchAll(/^\| `(\w+)` \| ([^|]+) \|[^|]*\|[^|]*\|$/gm)]
  const table = Object.fromEntries(rows.map(([, name, words]) => [name, valueOf(words!.trim())]))
  expect(table).toEqual(resolveOptions({}))
})

test('the README explains every error code', async () => {
  const readme = await textOf('../README.md')
  const errors = await textOf('../src/errors.ts')
  const codes = [...errors.matchAll(/^ {2}\| '(\w+)'$/gm)].map(([, code]) => code)
  expect(codes.length).toBeGreaterThan(5)
  for (const code of codes) expect(readme).toContain(`| \`${code}\` |`)
})
