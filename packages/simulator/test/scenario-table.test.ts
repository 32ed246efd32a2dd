import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'

const page = new URL('../../../apps/docs/scenarios.md', import.meta.url)
const links = [...readFileSync(page, 'utf8').matchAll(/\]\(([^)]+)\)/g)].map(([, to = '']) => to)

test('every file that the page of scenarios names is there', () => {
  const missing = links.filter((to) => !existsSync(fileURLToPath(new URL(to, page))))
  expect(missing).toEqual([])
})

test('every scenario is named on that page', () => {
  const named = new Set(links.map((to) => to.split('/').at(-1)))
  const scenarios = readdirSync(fileURLToPath(new URL('../scenarios/', import.meta.url)))
  expect(scenarios.filter((name) => !named.has(name))).toEqual([])
})

test('every scenario begins with its story', () => {
  const folder = new URL('../scenarios/', import.meta.url)
  const silent = readdirSync(fileURLToPath(folder)).filter(
    (name) => !readFileSync(new URL(name, folder), 'utf8').startsWith('# '),
  )
  expect(silent).toEqual([])
})
