// Logs. Application Insights accepts them from managed identities only.
param token string
param location string
param tags object
param appPrincipalId string
param retentionDays int
param dailyQuotaGb string

var roles = loadJsonContent('roles.json')

module workspace 'br/public:avm/res/operational-insights/workspace:0.16.1' = {
  name: 'log-analytics'
  params: {
    name: 'log-relay-${token}'
    location: location
    tags: tags
    dataRetention: retentionDays
    dailyQuotaGb: dailyQuotaGb
  }
}

module component 'br/public:avm/res/insights/component:0.8.0' = {
  name: 'application-insights'
  params: {
    name: 'appi-relay-${token}'
    location: location
    tags: tags
    workspaceResourceId: workspace.outputs.resourceId
    applicationType: 'web'
    disableLocalAuth: true
    retentionInDays: retentionDays
    roleAssignments: [
      {
        principalId: appPrincipalId
        principalType: 'ServicePrincipal'
        roleDefinitionIdOrName: roles.metricsPublisher
      }
    ]
  }
}

output workspaceId string = workspace.outputs.resourceId
output componentId string = component.outputs.resourceId
output connectionString string = component.outputs.connectionString
