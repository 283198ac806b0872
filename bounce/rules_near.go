package bounce

import "slices"

// Words for what a sentence is about. With a word near them for what is wrong
// with it they make a sentence of any system in any order: nobody can list
// them all.
var (
	mailboxes = []string{
		"empfaenger", "e-postadress", "e-post", "адрес", "γραμματοκιβωτιο", "θυριδα", "ηλεκτρονικη διευθυνση", "user",
		"username", "userid", "recipient", "mailbox", "mail box", "inbox", "account", "address", "mailaddress",
		"mail address", "addressee", "o/r name", "orname", "member", "subscriber", "local part", "person", "customer",
		"rcpt", "benutzer", "empfanger", "postfach", "konto", "adresse", "adressat", "utilisateur", "destinataire",
		"compte", "boite", "usuario", "destinatario", "cuenta", "buzon", "casilla", "direccion", "utente", "casella",
		"indirizzo", "conta|", "contas|", "caixa", "endereco", "utilizador", "gebruiker", "ontvanger", "postvak", "adres",
		"uzytkownik", "odbiorca", "skrzynka", "uzivatel", "prijemce", "schranka", "anvandare", "mottagare", "brevlada",
		"bruger", "modtager", "postkasse", "bruker", "mottaker", "postboks", "kayttaja", "vastaanottaja",
		"postilaatikko", "felhasznalo", "cimzett", "postafiok", "utilizator", "destinatar", "casuta", "kullanici",
		"alici", "posta kutusu", "χρηστης", "παραληπτης", "пользовател", "получател", "адресат", "ящик", "аккаунт",
		"учетная запись", "ユーザ", "受信者", "宛先", "アドレス", "メールボックス", "アカウント", "用户", "收件人", "郵箱", "邮箱", "帐号", "사용자", "수신자",
		"메일함", "email account", "e-mail account", "email box", "el correo", "casella e-mail",
	}
	domains = []string{
		"domain", "domain name", "zieldomain", "domane", "domaine", "dominio", "domein", "domena", "doman", "alan adi",
		"домен", "ドメイン", "域名", "도메인", "domeniu", "domeniul", "domenet", "domaenet", "verkkotunnus", "tartomany",
		"τομεας",
	}
	hosts = append([]string{
		"host", "hostname", "server name", "mail server", "mail exchanger", "mx", "nameserver", "hote", "servidor",
		"serwer", "сервер",
	}, domains...)

	nobody = []string{
		"nie mozna odnalez", "finner ikke", "kunne ikke finne", "kan ikke finne", "kunde inte hitta", "kan inte hitta",
		"konnte nicht gefunden", "introuvable", "impossible de trouver", "no se encontro", "no se pudo encontrar",
		"non e stato possibile trovare", "impossibile trovare", "nao foi encontrad", "nao foi possivel encontrar",
		"kan niet worden gevonden", "nelze najit", "nie je mozne najst", "ei loytynyt", "nem talalhato",
		"nu a fost gasit", "bulunamiyor", "δεν βρεθηκε", "unknown", "not known", "isn't known", "not found", "no such",
		"does not exist", "doesn't exist", "do not exist", "not exist", "doesnt exist", "non-existent", "nonexistent",
		"non existing", "non-existing", "unrecognized", "unrecognised", "not recognized", "invalid", "not valid",
		"undefined", "not defined", "can not find", "cannot find", "can't find", "could not find", "couldn't find",
		"unable to find", "not listed", "repertorie", "nicht aufgefuhrt", "nicht verzeichnet", "no figura",
		"no aparece", "non presente", "non e presente", "non figura", "nao consta", "staat niet in", "niet vermeld",
		"nie figuruje", "finns ej", "findes ej", "no longer exist", "misspelled", "incorrect", "wrong",
		"undeliverable", "no record of", "unbekannt", "existiert nicht", "nicht gefunden", "nicht vorhanden",
		"ungultig", "gibt es nicht", "kein gultig", "inconnu", "n'existe pas", "inexistant", "introuvable", "invalide",
		"non valide", "desconocid", "no existe", "inexistente", "no encontrad", "no valid", "no se encuentra",
		"sconosciut", "non esiste", "non trovat", "non valid", "desconhecid", "nao existe", "nao encontrad", "invalid",
		"onbekend", "bestaat niet", "niet gevonden", "ongeldig", "nieznan", "nie istnieje", "nie znalezion", "neznam",
		"neexist", "nenalezen", "okand", "finns inte", "hittades inte", "ukendt", "findes ikke", "ukjent",
		"finnes ikke", "tuntematon", "ei ole olemassa", "ei loydy", "ismeretlen", "nem letez", "nem talal",
		"necunoscut", "nu exista", "bilinm", "bulunamad", "mevcut degil", "yok", "δεν υπαρχει", "αγνωστος", "неизвест",
		"не найден", "не существ", "отсутствует", "нет такого", "存在しま", "見つかりま", "不明", "ありません", "不存在", "找不到", "无效",
		"존재하지", "찾을 수 없", "없습니다",
	}
	full = []string{
		"full", "quota", "exceeded", "exceeds", "exceeding", "storage", "out of space", "no space", "too full",
		"limit reached", "capacity", "voll", "kapazitat", "capacite", "capacidad", "capacita", "capacidade",
		"pojemnosc", "kapacit", "kapasite", "uberschritten", "erschopft", "plein", "satur", "depasse", "llen",
		"excedid", "superad", "pieno", "piena", "pieni", "esaurit", "superat", "cheia", "excedeu", "esgotad", "is vol",
		"zit vol", "overvol", "overschreden", "peln", "przepeln", "przekrocz", "plna", "plny", "prekroc", "fulla",
		"fullt", "fuld", "overskred", "taynna", "ylitt", "megtelt", "betelt", "plina", "plin,", "este plin", "depasit",
		"dolu", "doldu", "asild", "πληρες", "γεματο", "переполн", "превыш", "заполнен", "いっぱい", "容量", "超え", "已满", "已滿",
		"超出", "가득", "초과",
	}
	closed = []string{
		"dada de baja", "dado de baja", "de baja", "cancellat", "geloscht", "supprim", "eliminad", "usuniet", "smazan",
		"verwijderd", "slettet", "borttag", "torolt", "silin", "sters", "disabled", "deactivated", "suspended",
		"inactive", "not active", "not activated", "locked", "closed", "cancelled", "canceled", "terminated",
		"expired", "frozen", "dormant", "discontinued", "retired", "revoked", "archived", "decommissioned",
		"withdrawn", "no longer active", "no longer in service", "no longer in use", "no longer monitored",
		"shut down", "switched off", "abandoned", "abolished", "deaktiviert", "inaktiv", "geschlossen", "abgeschaltet",
		"stillgelegt", "desactiv", "suspendu", "ferme", "cloture", "desactivad", "suspendid", "inactiv", "cerrad",
		"disattivat", "sospes", "chius", "disabilitat", "desativad", "suspens", "inativ", "encerrad", "uitgeschakeld",
		"opgeheven", "nieaktywn", "zawieszon", "wylaczon", "zrusen", "deaktivovan", "avstangd", "inaktiverad",
		"lukket", "deaktivert", "suljettu", "poistettu", "felfuggeszt", "megszunt", "dezactivat", "devre disi",
		"askiya", "kapatil", "отключен", "неактив", "удален", "закрыт", "無効", "停止", "解約", "停用", "禁用", "冻结", "정지",
		"비활성", "휴면", "해지", "탈퇴",
	}
)

// accounts are what one is locked out of, and locked says so: of mail the same
// words mean that it was refused.
var (
	accounts = []string{
		"account", "konto", "benutzerkonto", "postfach", "compte", "boite aux lettres", "cuenta", "buzon", "casilla",
		"casella", "conta|", "caixa postal", "rekening", "skrzynk", "uzytkownik", "ucet", "schranka", "fiok",
		"postafiok", "cont|", "casuta", "hesap", "hesab", "аккаунт", "учетная запись", "ящик", "пользователь",
		"λογαριασμος", "アカウント", "帐户", "账户", "帐号", "계정",
	}
	locked = []string{
		"gesperrt", "bloque", "verrouille", "bloquead", "bloccat", "geblokkeerd", "zablokowan", "blokovan",
		"zablokovan", "letiltott", "zarolva", "blocat", "kilitli", "engellen", "заблокирован", "αποκλεισ", "ロック", "锁定",
		"잠금",
	}
)

// senders are words for whoever a mail is from.
var senders = []string{
	"sender", "from address", "from header", "of from", "return path", "return-path", "reverse-path", "envelope from",
	"you sent from", "sent from", "absender", "expediteur", "emetteur", "remitente", "mittente", "remetente",
	"afzender", "nadawc", "odesilatel", "odosielatel", "avsandar", "afsender", "avsender", "lahettaj", "felado",
	"expeditor", "gonderen", "αποστολε", "отправител", "відправник", "送信者", "差出人", "发件人", "寄件者", "발신자", "보낸 사람",
}

// aboutUs are words of texts that speak of us: where one is, no shipped rule
// takes the text for proof of what is wrong with a person's address or mailbox.
var aboutUs = append([]string{
	"sending domain", "sending server", "sending host", "sending ip", "sending account", "dkim", "spf", "dmarc",
	"txt record", "your ip", "client ip", "your server", "your host", "your hostname", "your mail server",
	"your provider", "your network", "your smtp", "your mail client", "your account", "your domain", "your address",
	"your email address", "your own", "smarthost", "smtp auth", "reply-to", "cannot verify", "callout to",
	"allow-list", "allowlist", "whitelist", "white list", "since you connected", "mail gateway", "mail client",
	"quarantine", "smtp server for", "mail server for",
}, senders...)

// boilerplate is how reports speak of the sender whatever happened.
var boilerplate = []string{"to sender", "to the sender", "original sender", "message sender", "sender of", "this is a permanent error", "please"}

// aboutUsRules are for texts that speak of us in words that nobody knows.
var aboutUsRules = []Rule{
	{Name: "words-about-sender", Strength: Hunch, Reason: Rejected, Codes: []int{4, 5}, Words: senders, Not: boilerplate, Examples: []string{"550 Absender existiert nicht"}},
	{Name: "words-about-us", Strength: Hunch, Reason: Policy, Codes: []int{4, 5}, Words: aboutUs, Not: boilerplate, Examples: []string{"550 your provider is not known for fighting abuse"}},
}

// ours are words that turn a sentence of nearRules into one about something
// else than a person's mailbox.
var ours = []string{
	"sender", "your address", "your domain", "your email", "your e-mail", "your account", "from address",
	"return path", "envelope from", "reply address", "mail from", "helo", "ehlo", "procmail", "couldn't create",
	"ldap server", "ldap lookup", "ldap error", "ldap_", "database", "lookup", "not allowed", "policy", "your ip",
	"ip address", "your host", "your server", "relay", "spam", "blocked", "blacklist", "message-id", "message id",
	"header", "command", "signature", "dkim", "spf", "dmarc", "reverse", "ptr", "charset", "too many", "absender",
	"expediteur", "emetteur", "remitente", "mittente", "remetente", "afzender", "nadawc", "odesilatel", "avsandar",
	"afsender", "avsender", "lahettaj", "felado", "expeditor", "gonderen", "отправител", "送信者", "发件人", "보낸",
}

// messages and large make the sentence that a message is too large.
var (
	messages = []string{
		"message", "mail", "email", "e-mail", "nachricht", "courriel", "mensaje", "correo", "messaggio", "mensagem",
		"bericht", "meddelande", "besked", "melding", "viesti", "wiadomosc", "zprava", "uzenet", "mesaj", "сообщение",
		"письмо", "メール", "メッセージ", "邮件", "郵件", "메일",
	}
	large = []string{
		"制限値を超え", "制限を超え", "サイズ制限", "too large", "too big", "oversize", "zu gross", "zu groß", "trop gros",
		"trop volumineux", "trop grand", "demasiado grande", "troppo grande", "muito grande", "te groot", "for stor",
		"liian suuri", "za duz", "zbyt duz", "prilis velk", "tul nagy", "prea mare", "cok buyuk", "слишком больш",
		"大きすぎ", "过大", "過大", "太大", "너무 큽",
	}
)

// sizes and exceeded make the sentence that a size is over a limit; ips and
// barred, that our address is blocked; connections and unanswered, that nobody
// was there.
var (
	sizes = []string{
		"message size", "size of the message", "size of your", "grosse", "nachrichtengrosse", "taille", "tamano",
		"dimensione", "dimensioni", "tamanho", "omvang", "grootte", "rozmiar", "wielkosc", "velikost", "storlek",
		"storrelse", "størrelse", "koko", "meret", "dimensiunea", "marimea", "boyut", "размер", "μεγεθος", "サイズ", "大小",
		"크기",
	}
	exceeded = []string{
		"exceed", "larger than", "over the", "uberschreit", "ubersteigt", "depass", "exced", "super", "eccede",
		"supera", "ultrapass", "overschrijd", "te groot", "przekracz", "prekrac", "overskrid", "overstig", "ylitt",
		"meghalad", "depas", "asiyor", "asmak", "превыш", "υπερβ", "超え", "超过", "超過", "초과",
	}
	ips = []string{
		"ip", "ip address", "ip-address", "ip-adresse", "ip adresse", "adresse ip", "direccion ip", "indirizzo ip",
		"endereco ip", "ip-adres", "ip-adress", "adres ip", "adresu ip", "ip adresa", "ip-osoite", "ip-cim",
		"adresa ip", "ip adresi", "ip-адрес", "ip адрес", "διευθυνση ip", "ipアドレス", "ip地址", "ip 주소",
	}
	barred = []string{
		"blocked", "banned", "listed", "blacklist", "gesperrt", "blockiert", "gelistet", "bloque", "liste noire",
		"bloquead", "lista negra", "bloccat", "geblokkeerd", "zwarte lijst", "zablokowan", "blokovan", "sparrad",
		"svartlist", "sperret", "blokert", "blokkert", "blokeret", "estetty", "letiltott", "blocat", "engellen",
		"kara liste", "заблокирован", "черн", "αποκλεισ", "ブロック", "拒否", "黑名单", "차단",
	}
	connections = []string{
		"server", "mail server", "mailserver", "serveur", "servidor", "serwer", "zielserver", "διακομιστη", "сервер",
		"サーバ", "服务器", "서버", "connection", "verbindung", "connexion", "conexion", "connessione", "conexao", "ligacao",
		"verbinding", "polaczeni", "spojeni", "anslutning", "forbindelse", "tilkobling", "yhteys", "palvelin",
		"kiszolgalo", "kapcsolat", "conexiune", "sunucu", "baglanti", "соединен", "συνδεση", "接続", "连接", "연결",
	}
	unanswered = []string{
		"not respond", "no response", "no answer", "timed out", "unreachable", "antwortet nicht", "nicht erreichbar",
		"zeituberschreitung", "ne repond pas", "injoignable", "inaccessible", "no responde", "inaccesible", "agotado",
		"non risponde", "irraggiungibile", "scadut", "nao responde", "inacessivel", "esgotad", "reageert niet",
		"onbereikbaar", "niet bereikbaar", "verlopen", "nie odpowiada", "nieosiagaln", "przekroczono czas",
		"neodpovida", "nedostupn", "vyprsel", "svarar inte", "svarer ikke", "gar inte att na", "ei vastaa",
		"ei saada yhteytta", "aikakatk", "nem valaszol", "nem erheto", "idotullepes", "nu raspunde", "inaccesibil",
		"expirat", "yanit vermiyor", "ulasilam", "zaman asimi", "не отвечает", "недоступ", "истекло", "превышен",
		"δεν ανταποκριν", "ληξη", "応答", "タイムアウト", "超时", "无响应", "응답", "시간 초과",
	}
)

// nearRules make sentences of a word for a thing and a word for what is wrong
// with it.
var nearRules = []Rule{
	{Name: "near-size", Reason: MessageTooBig, Words: messages, Near: large, Not: []string{"mailbox", "header"},
		Examples: []string{"552 Tato zpráva je příliš velká"}},
	{Name: "near-size-limit", Reason: MessageTooBig, Words: sizes, Near: exceeded, Not: []string{"mailbox", "postfach", "boite", "buzon", "casella", "caixa", "postvak", "skrzynk", "quota", "header"},
		Examples: []string{"552 La taille du message dépasse la limite autorisée (10 Mo)"}},
	{Name: "near-address-blocked", Reason: Blocked, Words: ips, Near: barred,
		Examples: []string{"554 Avsenderens IP-adresse 192.0.2.1 er sperret hos oss"}},
	{Name: "near-connection", Reason: NetworkError, Words: connections, Near: unanswered, Not: []string{"ldap", "database", "user", "mailbox", "policy", "too many", "authent"},
		Examples: []string{"Ο διακομιστής του παραλήπτη δεν ανταποκρίνεται"}},
	{Name: "near-full", Reason: MailboxFull, Words: mailboxes, Near: full,
		Not:      append([]string{"message size", "message too", "size limit", "mails per", "messages per", "rate", "recipients", "hop", "attempts", "retry", "connection", "fully"}, ours...),
		Examples: []string{"550 Het postvak van ann is overvol: limiet overschreden", "552 the storage of this account is used up"}},
	{Name: "near-disabled", Reason: Disabled, Words: mailboxes, Near: closed,
		Not:      append([]string{"connection", "session", "certificate", "password", "encryption", "encrypted", "link|", "character", "message for", "mail to the", "message to the", "message pour", "recipient server", "recipient's server", "unknown or disabled", "closed list", "mailing list", "posting", "temporar", "message expired", "timeout", "locked by another"}, ours...),
		Examples: []string{"550 This account (ann) was retired", "550 De mailbox is opgeheven"}},
	{Name: "near-locked", Reason: Disabled, Words: accounts, Near: locked, Not: append([]string{"temporar", "message", "nachricht", "mensaje", "mensagem", "bericht", "courriel"}, ours...),
		Examples: []string{"550 A(z) ann fiók zárolva"}},
	{Name: "near-user", Reason: UserUnknown, Words: mailboxes, Near: nobody,
		Not:      slices.Concat([]string{"connection", "session", "certificate", "password", "encryption", "encrypted", "link|", "character", "message for", "mail to the", "message to the", "message pour", "recipient server", "recipient's server", "unknown error", "unknown reason", "host"}, domains, ours),
		Examples: []string{"550 The person ann could not be located: unrecognized", "550 ann: there is no record of this customer"}},
	{Name: "near-host", Reason: HostUnknown, Words: hosts, Near: nobody,
		Not:      append([]string{"user", "recipient", "mailbox"}, ours...),
		Examples: []string{"550 the MX of example.com is undefined"}},
}
