import { cp, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, dirname, join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { bin, run } from '../steps.js'

const root = new URL('../../..', import.meta.url).pathname
let workspace = ''

beforeAll(async () => {
  workspace = await mkdtemp(join(tmpdir(), 'coracle-boundaries-'))
})
afterAll(() => rm(workspace, { recursive: true }))

type Layer = 'core' | 'adapter' | 'composition' | 'tooling'
interface Package {
  /** An app has none. */
  readonly layer?: Layer
  readonly dependencies?: readonly string[]
  readonly source?: string
}

/** What `turbo boundaries` says of a workspace of these packages under our rules. */
async function boundaries(packages: Record<string, Package>): Promise<string> {
  await rm(workspace, { recursive: true })
  await write('package.json', { name: 'root', packageManager: 'pnpm@12.21.0' })
  await writeFile(join(workspace, 'pnpm-workspace.yaml'), 'packages: [packages/*]\n')
  await cp(join(root, 'turbo.json'), join(workspace, 'turbo.json'))
  for (const [name, { layer, dependencies = [], source = '' }] of Object.entries(packages)) {
    const wanted = dependencies.map((dependency) => [dependency, 'workspace:*'])
    await write(`packages/${basename(name)}/package.json`, {
      name,
      dependencies: Object.fromEntries(wanted),
    })
    await write(`packages/${basename(name)}/turbo.json`, {
      extends: ['//'],
      tags: layer === undefined ? [] : [layer],
    })
    await write(`packages/${basename(name)}/src/index.ts`, source)
  }
  const { output } = await run(
    process.execPath,
    [bin('turbo', 'bin/turbo'), 'boundaries', '--cwd', workspace],
    'pipe',
  )
  // The report is wrapped wherever a line is full, also inside a name.
  return output
    .toString()
    .replaceAll(/[\s|]+/g, ' ')
    .replaceAll('/ ', '/')
}

async function write(path: string, content: unknown): Promise<void> {
  const file = join(workspace, path)
  await mkdir(dirname(file), { recursive: true })
  await writeFile(file, typeof content === 'string' ? content : JSON.stringify(content))
}

/** One package per layer, each using everything below it. */
const SOUND: Record<string, Package> = {
  '@x/core': { layer: 'core', source: `import { test } from 'vitest'; test` },
  '@x/storage': { layer: 'adapter', dependencies: ['@x/core'], source: `import '@x/core'` },
  '@x/simulator': { layer: 'composition', dependencies: ['@x/core', '@x/storage'] },
  '@x/server': { dependencies: ['@x/core', '@x/storage', '@x/simulator'] },
}

describe('the arrows between packages', () => {
  test('may point down', async () => {
    expect(await boundaries(SOUND)).toContain('no issues found')
  })

  test('may not point sideways', async () => {
    const transport: Package = { layer: 'adapter', dependencies: ['@x/storage'] }
    expect(await boundaries({ ...SOUND, '@x/transport': transport })).toContain(
      'Package `@x/storage` found without any tag listed in allowlist for `@x/transport`',
    )
  })

  test('may not point up', async () => {
    const transport: Package = { layer: 'adapter', dependencies: ['@x/simulator'] }
    expect(await boundaries({ ...SOUND, '@x/transport': transport })).toContain(
      'Package `@x/simulator` found without any tag listed in allowlist for `@x/transport`',
    )
  })

  test('may not point to an app', async () => {
    const transport: Package = { layer: 'adapter', dependencies: ['@x/server'] }
    expect(await boundaries({ ...SOUND, '@x/transport': transport })).toContain(
      'Package `@x/server` found without any tag listed in allowlist for `@x/transport`',
    )
  })

  test('are declared', async () => {
    const transport: Package = { layer: 'adapter', source: `import '@x/core'` }
    expect(await boundaries({ ...SOUND, '@x/transport': transport })).toContain(
      'cannot import package `@x/core` because it is not a dependency',
    )
  })

  test('do not reach into the files of another package', async () => {
    const transport: Package = { layer: 'adapter', source: `import '../../core/src/index.ts'` }
    expect(await boundaries({ ...SOUND, '@x/transport': transport })).toContain(
      'leaves the package',
    )
  })
})
