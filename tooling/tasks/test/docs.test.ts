import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { expect, test } from 'vitest'

const root = new URL('../../..', import.meta.url).pathname
const core = 'packages/raft-core/src'
const read = (file: string): string => readFileSync(join(root, file), 'utf8')

/** Committed or about to be, never what was installed or built. */
const pages = execFileSync('git', ['ls-files', '-co', '--exclude-standard', '*.md'], {
  cwd: root,
  encoding: 'utf8',
})
  .split('\n')
  .filter((page) => page !== '' && existsSync(join(root, page)))

test('every link of a page to a file leads somewhere', () => {
  const broken = pages.flatMap((page) =>
    [...read(page).matchAll(/\]\((?!\w+:|#)([^)#\s]+)/g)]
      .map(([, target = '']) => target)
      .filter((target) => !existsSync(join(root, dirname(page), target)))
      .map((target) => `${page}: ${target}`),
  )
  expect(broken).toEqual([])
})

test('the architecture page names the rule file of every message', () => {
  const rows = [
    ...read('apps/docs/architecture.md').matchAll(/^\| `([a-z-]+)` .*`([a-z-]+\.ts)` \|$/gm),
  ]
  const types = [...read(`${core}/messages.ts`).matchAll(/extends Header<'([a-z-]+)'>/g)]
  expect(rows.map(([, type]) => type)).toEqual(types.map(([, type]) => type))
  const missing = rows
    .map(([, , file = '']) => file)
    .filter(
      (file) => !['protocol', 'node'].some((part) => existsSync(join(root, core, part, file))),
    )
  expect(missing).toEqual([])
})

test('every decision is listed, and says when it was made and what was rejected', () => {
  const decisions = pages.filter((page) => /decisions\/\d/.test(page))
  const index = read('apps/docs/decisions/README.md')
  expect(decisions).not.toEqual([])
  for (const page of decisions) {
    expect(index, page).toContain(page.split('/').at(-1))
    expect(read(page), page).toMatch(
      /^# \d{4}: .+\n\nDate: \d{4}-\d\d-\d\d\. Status: .+\n\n## Context\n[^]+\n## Decision\n[^]+\n## Consequences\n[^]+\n## Rejected\n/,
    )
  }
})
