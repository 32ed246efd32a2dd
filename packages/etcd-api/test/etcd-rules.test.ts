import { existsSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'

const page = new URL('../../../apps/docs/etcd-rules.md', import.meta.url)
const links = [...readFileSync(page, 'utf8').matchAll(/\[([^\]]+)\]\(([^)]+)\)/g)].map(
  ([, title = '', to = '']) => ({ title, to }),
)

test('every file that the page of rules names is there', () => {
  const missing = links.filter(({ to }) => !existsSync(new URL(to, page)))
  expect(missing).toEqual([])
})

test('every test that the page of rules names is in its file', () => {
  // What is linked in the text is a file.
  const cited = links
    .filter(({ title }) => title !== 'real etcd is asked the same')
    .filter(({ to }) => to.endsWith('.test.ts'))
  expect(cited.length).toBeGreaterThan(150)
  const gone = cited.filter(({ title, to }) => {
    const source = readFileSync(fileURLToPath(new URL(to, page)), 'utf8')
    return !["'", '"', '`'].some((quote) => source.includes(`${quote}${title}${quote}`))
  })
  expect(gone).toEqual([])
})
