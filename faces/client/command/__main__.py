from faces.client.command import main

main()
