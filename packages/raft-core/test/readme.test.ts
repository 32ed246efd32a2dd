import { expect, test } from 'vitest'
import { resolveOptions } from '../src/options.ts'
import { textOf } from './support/files.ts'

declare global {
  interface ImportMeta {
    /** The bundler's: the files that fit, as keys. */
    glob(pattern: string): Record<string, unknown>
  }
}

const UNITS: Record<string, number> = { KiB: 1 << 10, MiB: 1 << 20 }

function valueOf(words: string): number | boolean | string {
  if (words === 'true' || words === 'false') return words === 'true'
  if (/^[a-z]+$/.test(words)) return words
  const [number, unit] = words.split(' ')
  return Number(number) * (unit === undefined ? 1 : (UNITS[unit] as number))
}

test('the page of options names every option and its default', async () => {
  const page = await textOf('../../apps/docs/options.md')
  const rows = [...page.matchAll(/^\| `(\w+)` \| ([^|]+) \|[^|]*\|[^|]*\|$/gm)]
  const table = Object.fromEntries(rows.map(([, name, words]) => [name, valueOf(words!.trim())]))
  expect(table).toEqual(resolveOptions({}))
})

test('the README says of every error code whether it happened', async () => {
  const readme = await textOf('README.md')
  const errors = await textOf('src/errors.ts')
  const codes = [...errors.matchAll(/^ {2}\| '(\w+)'$/gm)].map(([, code]) => code)
  expect(codes.length).toBeGreaterThan(5)
  for (const code of codes) expect(readme).toContain(`\`${code}\``)
})

test('the page of the architecture names every file of the protocol, the node and transport', async () => {
  const page = await textOf('../../apps/docs/architecture.md')
  const files = Object.keys({
    ...import.meta.glob('../src/protocol/*.ts'),
    ...import.meta.glob('../src/node/*.ts'),
    ...import.meta.glob('../src/transport/*.ts'),
  }).map((path) => path.split('/').at(-1))
  expect(files.length).toBeGreaterThan(40)
  for (const file of files) expect(page).toContain(`\`${file}\``)
  const named = [...page.matchAll(/`([a-z-]+\.ts)`/g)].map(([, file]) => file)
  expect(named.filter((file) => !files.includes(file))).toEqual([])
})
