// Azure Communication Services Email, with a domain that Azure manages. docs/how-to/acs.md adds your own domain.
param token string
param tags object
param dataLocation string
param appPrincipalId string

var roles = loadJsonContent('roles.json')

module email 'br/public:avm/res/communication/email-service:0.4.5' = {
  name: 'email-service'
  params: {
    name: 'acse-relay-${token}'
    dataLocation: dataLocation
    tags: tags
    domains: [
      {
        name: 'AzureManagedDomain'
        domainManagement: 'AzureManaged'
        userEngagementTracking: 'Disabled'
      }
    ]
  }
}

module communication 'br/public:avm/res/communication/communication-service:0.5.0' = {
  name: 'communication-service'
  params: {
    name: 'acs-relay-${token}'
    dataLocation: dataLocation
    tags: tags
    linkedDomains: email.outputs.domainResourceIds
    // The narrowest built-in role that can send; assigned on this one resource.
    roleAssignments: [
      {
        principalId: appPrincipalId
        principalType: 'ServicePrincipal'
        roleDefinitionIdOrName: roles.emailOwner
      }
    ]
  }
}

output endpoint string = communication.outputs.endpoint
output senderDomain string = email.outputs.domainFromSenderDomains[0]
