import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { stateMachineConformance } from '@coracle/raft-core/conformance'
import { describe, expect, test, vi } from 'vitest'
import { type Counter, counter } from '../src/counter.ts'

const source = (path: string): string =>
  readFileSync(fileURLToPath(new URL(path, import.meta.url)), 'utf8')

test('the program runs to its end, and all three counters agree', async () => {
  const lines: string[] = []
  const log = vi.spyOn(console, 'log').mockImplementation((line: string) => lines.push(line))
  await import('../src/main.ts')
  log.mockRestore()
  expect(lines.slice(0, 3).map((line) => line.replace(/\d+$/, 'N'))).toEqual([
    'a: the counter is 1, as of entry N',
    'b: the counter is 2, as of entry N',
    'c: the counter is 3, as of entry N',
  ])
  expect(lines.slice(3).map((line) => line.replace(/ a \w+,/, ''))).toEqual([
    'a, holds 3',
    'b, holds 3',
    'c, holds 3',
  ])
})

test("the root README's example is this program, to the letter", () => {
  const example = /```ts\n(import \{ bootstrapMembership[\s\S]*?)```/.exec(
    source('../../../README.md'),
  )
  expect(example?.[1]).toBe(source('../src/main.ts'))
})

describe('the counter keeps the contract of a state machine', () => {
  stateMachineConformance({
    test,
    create: counter,
    commands: Array.from({ length: 20 }, (_, at) => Uint8Array.of(at + 1)),
    observe: (machine) => (machine as Counter).count,
  })
})
