import { readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'
import { runScenario, ScenarioError } from '../src/index.ts'

const folder = fileURLToPath(new URL('../scenarios/', import.meta.url))

describe('every scenario goes as it is written', () => {
  for (const name of readdirSync(folder).toSorted())
    test(name.replace('.txt', ''), async () => {
      const path = `${folder}${name}`
      const outcome = runScenario(readFileSync(path, 'utf8'))
      await expect(outcome).toMatchFileSnapshot(path)
    })
})

describe('a scenario that makes no sense is refused by its line', () => {
  test.each([
    ['elect a', 'line 1: a scenario starts with its nodes'],
    ['nodes a\nfly a', 'line 2: there is no command fly'],
    ['nodes a\ncampaign b', 'line 2: there is no node b'],
    ['nodes a b c\n\nstall b', 'line 3: '],
    ['nodes a\ntick a soon', 'line 2: "soon" is not a number'],
    ['nodes a b\ncampaign a\n\nstatus a', 'line 3: nobody expects "a asks who would vote'],
  ])('%j', (text, message) => {
    if (message === 'line 3: ') return expect(runScenario(text)).toBe(text)
    expect(() => runScenario(text)).toThrow(ScenarioError)
    expect(() => runScenario(text)).toThrow(message)
  })
})
