// Alert rules and their recipients. Each rule has a query in alerts/ and a section in docs/reference/alerts.md.
param token string
param location string
param tags object
param componentId string
@description('Email addresses, separated by commas; that of a Teams channel is one.')
param email string
@secure()
@description('URL of a workflow that posts to Teams, or of any service that reads the common alert schema. Empty: none.')
param webhookUrl string
param lateAfterMinutes int

var addresses = filter(map(split(email, ','), each => trim(each)), each => !empty(each))
var receivers = map(addresses, address => { name: address, emailAddress: address, useCommonAlertSchema: true })
var webhooks = empty(webhookUrl) ? [] : [{ name: 'workflow', serviceUri: webhookUrl, useCommonAlertSchema: true }]

// `measure` is the column to compare; if empty, rows are counted. `by`: one alert for each value.
var rules = [
  {
    name: 'poison'
    title: 'Relay: entries stay on a poison queue'
    severity: 1
    query: loadTextContent('alerts/poison.kql')
    every: 'PT5M'
    window: 'PT15M'
    measure: 'entries'
    aggregation: 'Minimum'
    operator: 'GreaterThan'
    threshold: 0
    by: ['queue']
  }
  {
    name: 'unprocessable-entries'
    title: 'Relay: entries could not be processed'
    severity: 1
    query: loadTextContent('alerts/unprocessable-entries.kql')
    every: 'PT5M'
    window: 'PT15M'
    measure: 'items'
    aggregation: 'Total'
    operator: 'GreaterThan'
    threshold: 0
    by: ['event']
  }
  {
    name: 'dead-letters'
    title: 'Relay: messages became dead letters'
    severity: 2
    query: loadTextContent('alerts/dead-letters.kql')
    every: 'PT5M'
    window: 'PT15M'
    measure: 'items'
    aggregation: 'Total'
    operator: 'GreaterThan'
    threshold: 0
    by: ['code']
  }
  {
    name: 'route-held'
    title: 'Relay: a route is held'
    severity: 1
    query: loadTextContent('alerts/route-held.kql')
    every: 'PT5M'
    window: 'PT5M'
    measure: ''
    aggregation: 'Count'
    operator: 'GreaterThan'
    threshold: 0
    by: ['route', 'code']
  }
  {
    name: 'failed-over'
    title: 'Relay: mail leaves by a fallback'
    severity: 2
    query: loadTextContent('alerts/failed-over.kql')
    every: 'PT5M'
    window: 'PT15M'
    measure: 'items'
    aggregation: 'Total'
    operator: 'GreaterThan'
    threshold: 0
    by: ['route', 'code']
  }
  {
    name: 'lane-late'
    title: 'Relay: mail waits on a queue'
    severity: 2
    query: loadTextContent('alerts/lane-late.kql')
    every: 'PT5M'
    window: 'PT5M'
    measure: 'oldest_minutes'
    aggregation: 'Maximum'
    operator: 'GreaterThan'
    threshold: lateAfterMinutes
    by: ['lane']
  }
  {
    name: 'failures'
    title: 'Relay: many attempts fail'
    severity: 2
    query: loadTextContent('alerts/failures.kql')
    every: 'PT5M'
    window: 'PT15M'
    measure: 'percent'
    aggregation: 'Maximum'
    operator: 'GreaterThan'
    threshold: 20
    by: ['route', 'code']
  }
  {
    name: 'client-held'
    title: 'Relay: mail of a client is held'
    severity: 2
    query: loadTextContent('alerts/client-held.kql')
    every: 'PT5M'
    window: 'PT5M'
    measure: ''
    aggregation: 'Count'
    operator: 'GreaterThan'
    threshold: 0
    by: ['client', 'code']
  }
  {
    name: 'bounce-rate'
    title: 'Relay: too much mail bounces'
    severity: 2
    query: loadTextContent('alerts/bounce-rate.kql')
    every: 'PT15M'
    window: 'PT1H'
    measure: 'percent'
    aggregation: 'Maximum'
    operator: 'GreaterThan'
    threshold: 5
    by: ['dimension', 'name']
  }
  {
    name: 'complaint-rate'
    title: 'Relay: too much mail is reported as spam'
    severity: 2
    query: loadTextContent('alerts/complaint-rate.kql')
    every: 'PT15M'
    window: 'PT1H'
    measure: 'per_thousand'
    aggregation: 'Maximum'
    operator: 'GreaterThan'
    threshold: 3
    by: ['dimension', 'name']
  }
  {
    name: 'quota'
    title: 'Relay: a client has used 90 % of its daily quota'
    severity: 3
    query: loadTextContent('alerts/quota.kql')
    every: 'PT15M'
    window: 'PT1H'
    measure: 'items'
    aggregation: 'Total'
    operator: 'GreaterThan'
    threshold: 0
    by: ['client']
  }
  {
    name: 'webhook-disabled'
    title: 'Relay: a webhook was disabled'
    severity: 3
    query: loadTextContent('alerts/webhook-disabled.kql')
    every: 'PT15M'
    window: 'PT15M'
    measure: 'items'
    aggregation: 'Total'
    operator: 'GreaterThan'
    threshold: 0
    by: ['client']
  }
  {
    name: 'mailbox-unreadable'
    title: 'Relay: bounces cannot be read from a mailbox'
    severity: 2
    query: loadTextContent('alerts/mailbox-unreadable.kql')
    every: 'PT15M'
    window: 'PT1H'
    measure: 'items'
    aggregation: 'Total'
    operator: 'GreaterThan'
    threshold: 30
    by: ['route']
  }
  {
    name: 'secret-expiring'
    title: 'Relay: a secret expires within 30 days'
    severity: 2
    query: loadTextContent('alerts/secret-expiring.kql')
    every: 'PT1H'
    window: 'P1D'
    measure: 'days'
    aggregation: 'Minimum'
    operator: 'LessThan'
    threshold: 30
    by: ['secret']
  }
  {
    name: 'timer-behind'
    title: 'Relay: a timer does not finish its work'
    severity: 2
    query: loadTextContent('alerts/timer-behind.kql')
    every: 'PT15M'
    window: 'PT6H'
    measure: 'items'
    aggregation: 'Total'
    operator: 'GreaterThan'
    threshold: 30
    by: ['step']
  }
  {
    name: 'timer-behind-at-night'
    title: 'Relay: old data is not deleted in time'
    severity: 3
    query: loadTextContent('alerts/timer-behind-at-night.kql')
    every: 'PT1H'
    window: 'P1D'
    measure: 'items'
    aggregation: 'Total'
    operator: 'GreaterThan'
    threshold: 5
    by: ['step']
  }
  {
    name: 'silence'
    title: 'Relay: no log line for 15 minutes'
    severity: 1
    query: loadTextContent('alerts/silence.kql')
    every: 'PT5M'
    window: 'PT15M'
    measure: ''
    aggregation: 'Count'
    operator: 'LessThan'
    threshold: 1
    by: []
  }
  {
    name: 'errors'
    title: 'Relay: functions fail'
    severity: 1
    query: loadTextContent('alerts/errors.kql')
    every: 'PT5M'
    window: 'PT15M'
    measure: 'items'
    aggregation: 'Total'
    operator: 'GreaterThan'
    threshold: 3
    by: []
  }
]

module operators 'br/public:avm/res/insights/action-group:0.8.0' = {
  name: 'action-group'
  params: {
    name: 'ag-relay-${token}'
    groupShortName: 'relay'
    location: 'global'
    tags: tags
    emailReceivers: receivers
    webhookReceivers: webhooks
  }
}

module alerts 'br/public:avm/res/insights/scheduled-query-rule:0.6.0' = [
  for rule in rules: {
    name: 'alert-${rule.name}'
    params: {
      name: 'alert-relay-${rule.name}-${token}'
      location: location
      tags: tags
      alertDisplayName: rule.title
      alertDescription: '${rule.title}. What it means and what to do: docs/reference/alerts.md#${rule.name}'
      severity: rule.severity
      scopes: [componentId]
      evaluationFrequency: rule.every
      windowSize: rule.window
      autoMitigate: true
      // Skip query validation: the tables of a new component exist only after its first log line. Tests check the queries instead.
      skipQueryValidation: true
      actions: { actionGroupResourceIds: [operators.outputs.resourceId] }
      criterias: {
        allOf: [
          {
            query: rule.query
            metricMeasureColumn: empty(rule.measure) ? null : rule.measure
            timeAggregation: rule.aggregation
            operator: rule.operator
            threshold: rule.threshold
            dimensions: map(rule.by, column => { name: column, operator: 'Include', values: ['*'] })
            failingPeriods: { numberOfEvaluationPeriods: 1, minFailingPeriodsToAlert: 1 }
          }
        ]
      }
    }
  }
]
