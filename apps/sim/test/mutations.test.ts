import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { describe, expect, test } from 'vitest'
import { hunt } from '../src/hunt.ts'
import { breed, mutations, PATCHES } from '../src/mutant.ts'

const run = promisify(execFile)
const root = fileURLToPath(new URL('../../..', import.meta.url))
const all = await mutations()

describe('known bugs', () => {
  test('of every kind can be brought back', () => {
    const groups = new Set(all.map(({ name }) => name.split('.')[0]))
    for (let group = 1; group <= 12; group += 1) expect(groups).toContain(`T${group}`)
    expect(all.length).toBeGreaterThanOrEqual(25)
  })

  test.each(all)('$name: the patch fits the code as it is', async ({ name }) => {
    await run('git', ['apply', '--check', join(PATCHES, `${name}.patch`)], { cwd: root })
  })

  test('are in the table of the documentation, and nothing else is', async () => {
    const page = await readFile(join(root, 'apps/docs/mutations.md'), 'utf8')
    const rows = [...page.matchAll(/^\| (T\d+\.\d+) \| ([^|]+) \|/gm)]
    const named = rows.map(([, trap, words = '']) => `${trap}-${words.replaceAll(' ', '-')}`)
    expect(named).toEqual(all.map(({ name }) => name))
  })

  test('are found', async () => {
    const mutation = all.find(({ name }) => name.startsWith('T4.4'))
    if (mutation === undefined) throw new Error('there is no such mutation')
    await using mutant = await breed(mutation)
    const { found } = await hunt(mutation, mutant, { seeds: 20, workers: 1 })
    expect(found).not.toBeNull()
  }, 60_000)
})
