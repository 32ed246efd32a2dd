import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { expect, test } from 'vitest'

const root = new URL('../../..', import.meta.url).pathname

interface Manifest {
  readonly name: string
  readonly private?: boolean
  readonly exports?: Readonly<Record<string, Readonly<Record<string, string>>>>
}

const read = (...path: string[]): unknown => JSON.parse(readFileSync(join(root, ...path), 'utf8'))
const exists = (...path: string[]): boolean => existsSync(join(root, ...path))

const folders = ['packages', 'apps', 'tooling']
  .flatMap((parent) => readdirSync(join(root, parent)).map((name) => join(parent, name)))
  .filter((folder) => exists(folder, 'package.json'))
const published = folders
  .map((folder) => ({ folder, manifest: read(folder, 'package.json') as Manifest }))
  .filter(({ manifest }) => manifest.private !== true)

// An app stands on top: nothing may import it, since it names no layer, and it may import anything.
test('what others may import names its layer, so that the arrows are checked', () => {
  const layers: Record<string, RegExp> = {
    apps: /^$/,
    packages: /^(core|adapter|composition)$/,
    tooling: /^tooling$/,
  }
  const wrong = folders.filter((folder) => {
    const { tags } = (exists(folder, 'turbo.json') ? read(folder, 'turbo.json') : {}) as {
      tags?: readonly string[]
    }
    return layers[dirname(folder)]?.test(tags?.join() ?? '') !== true
  })
  expect(wrong).toEqual([])
})

test('every entry point that is published runs from its source inside the workspace', () => {
  const wrong = published.flatMap(({ folder, manifest }) =>
    Object.entries(manifest.exports ?? {})
      .filter(([, target]) => Object.keys(target).join() !== '@coracle/source,types,default')
      .map(([path]) => `${folder}: ${path}`),
  )
  expect(wrong).toEqual([])
})

test('every published package says under which terms and for which Node', () => {
  for (const { folder, manifest } of published) {
    expect(manifest).toMatchObject({
      name: `@coracle/${basename(folder)}`,
      description: expect.stringMatching(/./),
      license: 'Apache-2.0',
      files: expect.arrayContaining(['dist', 'src']),
      type: 'module',
      sideEffects: false,
      engines: { node: '>=20.19' },
    })
  }
})
