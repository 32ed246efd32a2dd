import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { FAULTS } from '../src/index.ts'
import { PROPERTIES } from '../src/properties/index.ts'

const read = (path: string): string => readFileSync(new URL(path, import.meta.url), 'utf8')
const page = read('../../../apps/docs/simulation.md')

/** The first cells of the table under a heading. */
function firstCells(heading: string): readonly string[] {
  const section = page.split(`## ${heading}\n`)[1]?.split('\n## ')[0] ?? ''
  const rows = [...section.matchAll(/^\| ([^|]+) \|/gm)].map(([, cell = '']) => cell.trim())
  return rows.slice(1)
}

describe('the page on simulation', () => {
  test('lists every fault, once, and no other', () => {
    const listed = firstCells('What is done to a cluster').flatMap((cell) => cell.split(', '))
    expect(listed.toSorted()).toEqual([...FAULTS].toSorted())
  })

  test('lists every property, in order, and no other', () => {
    expect(firstCells('What must hold')).toEqual(PROPERTIES.map(({ name }) => name))
  })

  test('tells of every rule that is no property', () => {
    const source = read('../src/simulate.ts')
    const rules = [...source.matchAll(/violated\(\s*'([^']+)'/g)].map(([, name = '']) => name)
    expect(rules.length).toBeGreaterThan(2)
    for (const rule of rules) expect(page).toContain(`\`${rule}\``)
  })
})

describe('the README', () => {
  const readme = read('../README.md')

  test('fits on a page', () => {
    expect(readme.split('\n').length).toBeLessThanOrEqual(61)
  })

  test('shows parts of your own as the tests run them', () => {
    const tests = read('own-storage.test.ts') + read('own-transport.test.ts')
    for (const part of ['({ sync }) => memoryDisk({ sync })', '(world) => memoryNetwork(world)']) {
      expect(readme).toContain(part)
      expect(tests).toContain(part)
    }
  })
})
